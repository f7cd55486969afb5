// Start of prismarine-viewer's worker, which shapes changed blocks every 50 ms: here as often as there is time.
'use strict'

const setIntervalOf = self.setInterval.bind(self)
self.setInterval = (work, ms) => setIntervalOf(work, Math.min(ms, 5))
self.importScripts('worker.js')
