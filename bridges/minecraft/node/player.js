// One player on a live Minecraft server: started by `bridges/minecraft/process.py` with its options as a line of JSON on
// stdin, watched by its events on stdout. It ends when stdin does, and takes Chromium and the embedded server with it.
import readline from 'node:readline'
import { Body } from './body.js'
import { momentOf, playEpisode, wait } from './episode.js'
import { Noise } from './noise.js'
import { packagesIn } from './packages.js'
import { Agent, Nobody, RecordedAgent, Recorder } from './partners.js'
import { Failure, plain, report } from './report.js'
import { NAME, ScriptedPlayer } from './scripted.js'
import { join, ping, startEmbedded } from './server.js'
import { Chat } from './state.js'
import { TASKS, sentenceOf, swappedOf } from './tasks.js'
import { REGION, hash } from './terrain.js'
import { DRAWN_CHUNKS, View, startBrowser } from './view.js'

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
  const { packages, url, agent_url: agentUrl, token, role, spec } = options
  if (role === 'none') return new Nobody()
  const { WebSocket } = packagesIn(packages)('ws')
  const tasks = options.embedded ? Object.values(TASKS).map(task => task.sentences[0]) : []
  const attach = { spec, instruction, tasks, WebSocket, ...(token ? { token } : {}) }
  const onState = (state, detail) => report('connection', { state, detail: plain(detail) })
  const to = (kind, where) => kind.attach(where, { ...attach, onState })
  if (agentUrl) return new RecordedAgent(await to(Agent, agentUrl), await to(Recorder, url))
  return await to(role === 'record' ? Recorder : Agent, url)
}

async function main (options) {
  const { packages, chromium, embedded, seed, host, port, name, spec, size } = options
  report('begun')
  running.partner = await partnerOf(options, options.instruction ?? '')
  let where = { host, port }
  if (embedded) {
    running.embedded = await startEmbedded(packages, options.worlds[0]?.seed ?? seed)
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
  await Promise.race([embedded ? playWorlds(game) : playOn(game), bot.over])
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

/** The worlds to play, {task, seed, words}: those that are named, or each task in turn in the next seed's world. */
function * worldsOf ({ worlds, tasks, seed, episodes }) {
  if (worlds.length) return yield * worlds
  for (let number = 0; episodes === null || number < episodes; number++) {
    yield { task: tasks[number % tasks.length], seed: seed + number, words: 'own' }
  }
}

async function playWorlds (game) {
  let number = 0
  for (const world of worldsOf(game.options)) {
    const result = await playWorld(game, number, world, () => isTimeOver(game))
    report('episode', { number, ...result })
    number++
    if (result.isCut) return
  }
}

/** What the player hears in a world, and the task that these words ask for. */
function wordsOf (options, { task, seed, words }) {
  if (options.instruction !== null) return { asked: task, instruction: options.instruction }
  if (words === 'none') return { asked: null, instruction: '' }
  if (words === 'swapped') {
    const { task: asked, instruction } = swappedOf(task, seed)
    return { asked, instruction }
  }
  return { asked: task, instruction: sentenceOf(task, seed) }
}

async function playWorld (game, number, world, isCut) {
  const { options, body, partner } = game
  const { task, seed } = world
  const { asked, instruction } = wordsOf(options, world)
  const reached = new Set()
  const judge = message => message.reached?.forEach(name => reached.add(name))
  await reset(game, seed, number)
  running.embedded.child.on('message', judge)
  report('begins', { number, seed, task, instruction })
  partner.begin(instruction)
  let steps = -1
  const [secondsBefore, promptBefore] = [game.tally.seconds, partner.prompt ?? 0]
  const isOver = () => {
    steps++
    if (reached.has(task)) return { success: true }
    if (reached.has(asked)) return { success: false } // what follows says nothing about the words
    if (isCut()) return { success: false, isCut: true }
    return steps >= TASKS[task].limit ? { success: false } : null
  }
  const ending = await playEpisode({ ...game, script: scriptOf(game, world, number), isOver })
  running.embedded.child.off('message', judge)
  const seconds = game.tally.seconds - secondsBefore
  const answered = (partner.prompt ?? 0) - promptBefore
  const truncated = Boolean(ending.isCut)
  const kept = await partner.end({ success: ending.success, task, truncated })
  return {
    seed, task, instruction, steps, seconds, answered, success: ending.success, isCut: truncated, ...kept
  }
}

/** The program that plays, or that says beside the model what would be right; null where there is none. */
function scriptOf ({ options, body }, { task, seed }, number) {
  if (options.player === 'agent' && !options.agent_url) return null
  const player = new ScriptedPlayer(body, task, seed, number * REGION)
  const noise = new Noise(options.noise_prob, seed)
  const action = label => options.agent_url ? null : noise.next() ?? label
  return { label: () => player.act(), action }
}

/** Put the player at the spawn of a seed's world, and wait until it stands there and sees it. */
async function reset (game, seed, region) {
  const { bot } = game.body
  const { child, answer } = running.embedded
  const spawned = answer('spawn')
  child.send({ reset: true, seed, region, name: game.options.name })
  const spawn = await spawned
  for (let tries = 0; tries < 100; tries++) {
    const { x, z } = bot.entity.position
    if (Math.hypot(x - spawn.x, z - spawn.z) < 1 && bot.entity.onGround) break
    await wait(50)
  }
  bot.setQuickBarSlot(0)
  bot.look(2 * Math.PI * hash(seed, 63), 0, true)
  await game.view.settle(momentOf(game.body, game.chat), DRAWN_CHUNKS)
}

process.on('uncaughtException', fail)
process.on('unhandledRejection', fail)
for (const signal of ['SIGTERM', 'SIGINT', 'SIGHUP']) process.on(signal, () => end(130, 'stopped', {}))
const lines = readline.createInterface({ input: process.stdin })
lines.once('line', line => main(JSON.parse(line)).catch(fail))
setInterval(() => report('alive', running.tally), 1000).unref()
lines.once('close', () => end(130, 'stopped', {}))
process.stdout.on('error', () => end(130, 'stopped', {}))
