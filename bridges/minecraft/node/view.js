// The view: what the player sees, drawn by prismarine-viewer in headless Chromium, one JPEG for each call.
import fs from 'node:fs'
import http from 'node:http'
import os from 'node:os'
import path from 'node:path'
import { fileURLToPath } from 'node:url'
import { packagesIn } from './packages.js'
import { Failure, plain, within } from './report.js'

const OURS = path.dirname(fileURLToPath(import.meta.url))
const PAGE = {
  '/': 'page.html',
  ...Object.fromEntries(['screen.js', 'hud.js', 'block_models.js', 'worker_start.js'].map(name => [`/${name}`, name]))
}
const TYPES = { '.html': 'text/html', '.js': 'text/javascript', '.json': 'application/json', '.png': 'image/png' }
/** The player's chunk, and two to each side of it. */
const VIEW_CHUNKS = 3
export const DRAWN_CHUNKS = VIEW_CHUNKS - 1
const DRAWN_MS = 60000
const FLAGS = [
  '--headless=new',
  '--use-gl=angle',
  '--use-angle=swiftshader',
  '--enable-unsafe-swiftshader',
  '--hide-scrollbars',
  '--mute-audio',
  '--no-first-run',
  '--disable-extensions',
  '--disable-background-networking',
  '--disable-component-update'
]

/** Start Chromium; it ends with this process, since it reads its commands from a pipe. */
export async function startBrowser (folder, chromium) {
  const puppeteer = packagesIn(folder)('puppeteer-core')
  const sandbox = process.getuid?.() === 0 ? ['--no-sandbox'] : [] // Chromium refuses its sandbox to root
  try {
    return await puppeteer.launch({
      executablePath: chromium, pipe: true, ignoreDefaultArgs: ['--enable-automation'], args: [...FLAGS, ...sandbox],
      timeout: 8000, protocolTimeout: 8000, handleSIGINT: false, handleSIGTERM: false, handleSIGHUP: false
    })
  } catch (error) {
    throw new Failure(`Chromium (${chromium}) does not start: ${plain(error.message)}`)
  }
}

/**
 * Give Chromium's threads this process's priority: it sets that of its own processes to the normal one, so that a player
 * who was started with a higher one (`nice -n -10`) would still wait for its pictures. Linux only.
 */
async function sharePriority (browser) {
  const priority = os.getPriority()
  if (process.platform !== 'linux' || priority >= 0) return
  const session = await browser.target().createCDPSession()
  const { processInfo } = await session.send('SystemInfo.getProcessInfo')
  await session.detach()
  for (const { id } of processInfo) {
    let threads = []
    try {
      threads = fs.readdirSync(`/proc/${id}/task`)
      for (const thread of threads) os.setPriority(Number(thread), priority)
    } catch {} // it has ended, or may not be changed
  }
}

/** Files of prismarine-viewer's page and ours, on a free port of this machine only. */
function startPages (viewerRequire) {
  const theirs = path.join(path.dirname(viewerRequire.resolve('./package.json')), 'public')
  const server = http.createServer((request, response) => {
    const name = decodeURIComponent(new URL(request.url, 'http://localhost').pathname)
    const file = PAGE[name] ? path.join(OURS, PAGE[name]) : path.join(theirs, path.normalize(name))
    if (!file.startsWith(OURS) && !file.startsWith(theirs + path.sep)) return response.writeHead(404).end()
    const stream = fs.createReadStream(file)
    stream.on('error', () => response.writeHead(404).end())
    stream.on('open', () => {
      response.writeHead(200, { 'content-type': TYPES[path.extname(file)] ?? 'application/octet-stream' })
      stream.pipe(response)
    })
  })
  return new Promise(resolve => server.listen(0, '127.0.0.1', () => resolve(server)))
}

/** The viewer has no picture of items that lie about, and would draw a box in magenta: the page hears nothing of them. */
function withoutItems (socket) {
  const items = new Set()
  const emit = (event, message) => {
    if (event === 'entity' && message.name === 'item') items.add(message.id)
    if (event === 'entity' && items.has(message.id)) return
    socket.emit(event, message)
  }
  return { emit, on: socket.on.bind(socket) }
}

export class View {
  constructor (bot, browser) {
    this.bot = bot
    this.browser = browser
  }

  /** Open the page and send it the world around the player; `size` is the pictures' {width, height}. */
  async open (folder, size) {
    const viewerFolder = path.join(folder, 'node_modules', 'prismarine-viewer')
    const require = packagesIn(viewerFolder)
    const { WorldView } = require('./viewer/lib/worldView')
    const { getVersion } = require('./viewer/lib/version')
    this.version = getVersion(this.bot.version)
    if (!this.version) throw new Failure(`the viewer has no textures of Minecraft ${this.bot.version}`)
    const pages = await startPages(require)
    const sockets = new (require('socket.io').Server)(pages, { path: '/socket.io' })
    sockets.on('connection', socket => this._serve(socket, WorldView))
    this.page = await this.browser.newPage()
    await sharePriority(this.browser)
    this.page.on('pageerror', error => process.stderr.write(`page: ${plain(error.message)}\n`))
    const query = new URLSearchParams({ ...size })
    await this.page.goto(`http://127.0.0.1:${pages.address().port}/?${query}`, { timeout: 30000 })
    await this.page.waitForFunction('window.THREE && window.capture', { timeout: 30000, polling: 50 })
    await sharePriority(this.browser)
  }

  _serve (socket, WorldView) {
    const { bot } = this
    socket.emit('version', this.version)
    const world = new WorldView(bot.world, VIEW_CHUNKS, bot.entity.position, withoutItems(socket))
    world.init(bot.entity.position)
    world.listenToBot(bot)
    const follow = () => world.updatePosition(bot.entity.position)
    bot.on('move', follow)
    socket.on('disconnect', () => {
      bot.removeListener('move', follow)
      world.removeListenersFromBot(bot)
    })
  }

  /** Wait until `chunks` around the player's are drawn; where nothing is, in a void, for so long only. */
  async settle (moment, chunks = 1) {
    const end = performance.now() + DRAWN_MS
    await this.capture(moment)
    const { x, z } = moment.eyes
    while (!await this.page.evaluate((...at) => window.isDrawn(...at), x, z, chunks) && performance.now() < end) {
      await new Promise(resolve => setTimeout(resolve, 50))
    }
  }

  /** What the player sees at a moment ({eyes, target, hud}), as the bytes of a JPEG. */
  async capture (moment) {
    const shown = { ...moment, hud: { ...moment.hud, version: this.version } }
    return Buffer.from(await this.page.evaluate(moment => window.capture(moment), shown), 'base64')
  }
}
