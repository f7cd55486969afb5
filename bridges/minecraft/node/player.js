// One player on a live Minecraft server: started by `bridges/minecraft/process.py` with its options as a line of JSON on
// stdin, watched by its events on stdout. It ends when stdin does, and takes Chromium and the embedded server with it.
import readline from 'node:readline'
import { Body } from './body.js'
import { momentOf, playEpisode, wait } from './episode.js'
import { packagesIn } from './packages.js'
import { Agent, Nobody, Recorder } from './partners.js'
import { Failure, plain, report } from './report.js'
import { NAME, ScriptedPlayer } from './scripted.js'
import { join, ping, startEmbedded } from './server.js'
import { Chat, inventory } from './state.js'
import { TASKS, goalOf } from './tasks.js'
import { REGION } from './terrain.js'
import { View, startBrowser } from './view.js'

const GREETING = 'I am an AI player (iafm), not a person. What is said or written here does not set my goals.'
const SCRIPT_GREETING = `I am a program (${NAME}), not a person.`
const CLOSING_MS = 2500
const running = {}

async function close () {
  running.bot?.quit?.('bye')
  running.embedded?.child.removeAllListeners('exit')
  running.embedded?.child.kill('SIGKILL')
  const browser = await running.browser?.catch(() => null)
  if (!browser) return
  browser.removeAllListeners('disconnected')
  await Promise.race([browser.close(), wait(CLOSING_MS)]).catch(() => {})
  const process = browser.process()
  if (process && process.exitCode === null) process.kill('SIGKILL')
}

let isEnding = false

async function end (code, event, fields) {
  if (isEnding) return
  isEnding = true
  if (event === 'failed') report(event, fields) // at once: closing takes a while
  await Promise.race([Promise.resolve(running.partner?.close()).catch(() => {}), wait(CLOSING_MS)])
  await close()
  if (event !== 'failed') report(event, fields)
  process.stdout.write('', () => process.exit(code))
}

function fail (error) {
  if (!(error instanceof Failure) && error.name !== 'BridgeError' && error.name !== 'DisconnectedError') {
    process.stderr.write(`${error.stack}\n`)
  }
  return end(1, 'failed', { message: plain(error.message, 400) })
}

async function partnerOf (options, instruction) {
  const { packages, url, token, role, spec } = options
  if (role === 'none') return new Nobody()
  const { WebSocket } = packagesIn(packages)('ws')
  const tasks = options.embedded ? Object.values(TASKS).map(task => task.sentences[0]) : []
  const attach = { spec, instruction, tasks, WebSocket, ...(token ? { token } : {}) }
  const onState = (state, detail) => report('connection', { state, detail: plain(detail) })
  return await (role === 'record' ? Recorder : Agent).attach(url, { ...attach, onState })
}

async function main (options) {
  const { packages, chromium, embedded, seed, host, port, name, spec, size } = options
  report('begun')
  running.partner = await partnerOf(options, options.instruction ?? '')
  let where = { host, port }
  if (embedded) {
    running.embedded = await startEmbedded(packages, seed)
    where = { host: '127.0.0.1', port: running.embedded.port }
  }
  const version = await ping(packages, where)
  running.browser = startBrowser(packages, chromium)
  const browserFails = running.browser.then(() => new Promise(() => {}))
  const bot = await Promise.race([join(packages, { ...where, version, name, isOwn: embedded }), browserFails])
  running.bot = bot
  const browser = await running.browser
  browser.once('disconnected', () => fail(new Failure('Chromium ended')))
  report('started', { version, name, port: where.port, browser: browser.process().pid, server: running.embedded?.child.pid })
  bot.chat(options.player === 'scripted' ? SCRIPT_GREETING : GREETING)
  const chat = new Chat()
  bot.on('message', message => chat.add(message.toString()))
  const view = new View(bot, browser)
  await Promise.race([view.open(packages, size), bot.over])
  const { Vec3 } = packagesIn(`${packages}/node_modules/mineflayer`)('vec3')
  const body = new Body(bot, Vec3)
  const tally = { frames: 0, actions: 0, ticks: 0, seconds: 0, disconnects: 0 }
  running.tally = tally
  bot.once('end', () => tally.disconnects++)
  const game = { options, body, view, chat, spec, partner: running.partner, tally }
  report('ready')
  await Promise.race([embedded ? playSeeds(game) : playOn(game), bot.over])
  await end(0, 'done', { ...tally, answers: running.partner.answers ?? 0 })
}

function isTimeOver ({ options, tally }) {
  return options.seconds && tally.seconds >= options.seconds
}

/** Play on a server of somebody else: one episode, until the time is over. */
async function playOn (game) {
  const isOver = () => isTimeOver(game) ? { truncated: true } : null
  await game.view.settle(momentOf(game.body, game.chat))
  game.partner.begin(game.options.instruction)
  await playEpisode({ ...game, isOver })
  await game.partner.end({ success: undefined, task: '', truncated: true })
}

/** Play the embedded server's tasks in turn, each in the next seed's world. */
async function playSeeds (game) {
  const { options } = game
  for (let number = 0; options.episodes === null || number < options.episodes; number++) {
    const task = options.tasks[number % options.tasks.length]
    const result = await playSeed(game, options.seed + number, task, () => isTimeOver(game))
    report('episode', { number, ...result })
    if (result.isCut) return
  }
}

async function playSeed (game, seed, task, isCut) {
  const { options, body, partner } = game
  const { bot } = body
  const goal = goalOf(task, seed)
  const origin = (seed - options.seed) * REGION
  const dug = []
  const note = message => { if (message.dug) dug.push(message.dug) }
  running.embedded.child.on('message', note)
  await reset(game, seed, goal)
  const start = bot.entity.position.clone()
  const player = options.player === 'scripted' ? new ScriptedPlayer(body, goal, seed, origin) : null
  const instruction = options.instruction ?? goal.instruction
  partner.begin(instruction)
  let steps = -1
  const secondsBefore = game.tally.seconds
  const isOver = () => {
    steps++
    const position = bot.entity.position.offset(-origin, 0, 0)
    if (goal.done({ seed, start, position, dug, inventory: inventory(bot) })) return { success: true }
    if (isCut()) return { success: false, isCut: true }
    return steps >= goal.limit ? { success: false } : null
  }
  const ending = await playEpisode({ ...game, choose: player ? () => player.act() : null, isOver })
  running.embedded.child.off('message', note)
  const seconds = game.tally.seconds - secondsBefore
  const truncated = Boolean(ending.isCut)
  const kept = await partner.end({ success: ending.success, task, truncated })
  return { seed, task, instruction, steps, seconds, success: ending.success, isCut: truncated, ...kept }
}

/** Put the player at the spawn of a seed's world, and wait until it stands there. */
async function reset (game, seed, goal) {
  const { bot } = game.body
  const { child, answer } = running.embedded
  const spawned = answer('spawn')
  child.send({ reset: true, seed, items: goal.items, name: game.options.name })
  const spawn = await spawned
  for (let tries = 0; tries < 100; tries++) {
    const { x, z } = bot.entity.position
    if (Math.hypot(x - spawn.x, z - spawn.z) < 1 && bot.entity.onGround) break
    await wait(50)
  }
  bot.setQuickBarSlot(0)
  await game.view.settle(momentOf(game.body, game.chat))
}

process.on('uncaughtException', fail)
process.on('unhandledRejection', fail)
for (const signal of ['SIGTERM', 'SIGINT', 'SIGHUP']) process.on(signal, () => end(130, 'stopped', {}))
const lines = readline.createInterface({ input: process.stdin })
lines.once('line', line => main(JSON.parse(line)).catch(fail))
setInterval(() => report('alive', running.tally), 1000).unref()
lines.once('close', () => end(130, 'stopped', {}))
process.stdout.on('error', () => end(130, 'stopped', {}))
