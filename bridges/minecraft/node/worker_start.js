// Start of prismarine-viewer's worker, which shapes changed blocks every 50 ms: here every 20. More often, the same
// sections are shaped again and again while chunks come.
'use strict'

const setIntervalOf = self.setInterval.bind(self)
self.setInterval = (work, ms) => setIntervalOf(work, Math.min(ms, 20))
self.importScripts('worker.js')
