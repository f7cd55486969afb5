// The way to a Minecraft server: is there one, of a version that is known, with a place, and the player's login.
import { fork } from 'node:child_process'
import path from 'node:path'
import { fileURLToPath } from 'node:url'
import { packagesIn } from './packages.js'
import { Failure, plain, within } from './report.js'

const PING_MS = 3000
const LOGIN_MS = 4000
const OWN_LOGIN_MS = 30000
const START_MS = 8000
/** Every server says something every few seconds: keep-alives and the time. */
const SILENCE_MS = 9000

/** Start the embedded server in a process of its own; it ends with this one. */
export async function startEmbedded (folder, seed) {
  const script = path.join(path.dirname(fileURLToPath(import.meta.url)), 'embedded.js')
  const child = fork(script, [folder, String(seed)], { stdio: ['ignore', 'ignore', 'inherit', 'ipc'] })
  const answer = key => new Promise((resolve, reject) => {
    const heard = message => {
      if (message.failed) reject(new Failure(`the embedded server: ${message.failed}`))
      else if (key in message) resolve(message[key])
      else return
      child.off('message', heard)
    }
    child.on('message', heard)
    child.once('exit', code => reject(new Failure(`the embedded server ended (exit ${code})`)))
  })
  const port = await within(answer('listening'), START_MS, 'the embedded server does not start within 8 s')
  return { child, port, answer }
}

/** Ask a server who it is; fails in one line where none answers, or its version is unknown. */
export async function ping (folder, { host, port }) {
  const require = packagesIn(folder)
  const where = `${host}:${port}`
  let status
  try {
    const asking = packagesIn(path.join(folder, 'node_modules', 'mineflayer'))('minecraft-protocol')
      .ping({ host, port, closeTimeout: PING_MS, noPongTimeout: PING_MS })
    status = await within(asking, PING_MS, `no Minecraft server at ${where}: it does not answer`)
  } catch (error) {
    throw error instanceof Failure ? error : new Failure(unreachable(where, error))
  }
  const { testedVersions } = require('mineflayer')
  const data = packagesIn(path.join(folder, 'node_modules', 'mineflayer'))('minecraft-data')
  const protocol = status?.version?.protocol
  const known = data.versions.pc.filter(({ version }) => version === protocol)
  const playable = known.find(({ minecraftVersion }) => testedVersions.includes(minecraftVersion)) ??
    known.find(({ minecraftVersion }) => isBetween(minecraftVersion, testedVersions))
  if (!playable) {
    const name = plain(status?.version?.name ?? '?', 40)
    throw new Failure(`the server at ${where} speaks Minecraft ${name} (protocol ${Number(protocol)}); ` +
      `this player knows ${testedVersions[0]} to ${testedVersions.at(-1)}`)
  }
  return playable.minecraftVersion
}

function isBetween (version, tested) {
  const order = text => text.split('.').map(Number)
  const compare = (a, b) => a.map((n, k) => n - (b[k] ?? 0)).find(Boolean) ?? a.length - b.length
  if (!/^\d+(\.\d+)+$/.test(version)) return false
  return compare(order(version), order(tested[0])) >= 0 && compare(order(version), order(tested.at(-1))) <= 0
}

export function unreachable (where, error) {
  const reasons = {
    ECONNREFUSED: 'nothing listens there',
    ENOTFOUND: 'there is no such host',
    EAI_AGAIN: 'the name of the host cannot be looked up',
    EHOSTUNREACH: 'the host cannot be reached',
    ENETUNREACH: 'the network cannot be reached',
    ECONNRESET: 'it closed the connection',
    ETIMEDOUT: 'it does not answer'
  }
  return `no Minecraft server at ${where}: ${reasons[error.code ?? error.message] ?? plain(error.message)}`
}

function lost (where, error) {
  const isClosed = ['ECONNRESET', 'EPIPE', 'ECONNABORTED'].includes(error.code)
  return isClosed ? `the server at ${where} closed the connection` : `the server at ${where} is lost: ${plain(error.message)}`
}

/** A kick's reason, which a server sends as text or as JSON of several forms, in one plain line. */
export function kickReason (reason) {
  const words = { 'multiplayer.disconnect.server_full': 'the server is full' }
  const flatten = part => {
    if (part === null || part === undefined) return ''
    if (typeof part !== 'object') return String(part)
    if (Array.isArray(part)) return part.map(flatten).join('')
    if ('type' in part && 'value' in part) return flatten(part.value) // NBT
    const own = flatten(part.text) || (words[flatten(part.translate)] ?? flatten(part.translate))
    return own + flatten(part.extra)
  }
  let parsed = reason
  try {
    if (typeof reason === 'string') parsed = JSON.parse(reason)
  } catch {}
  return plain(flatten(parsed).slice(0, 2000)) || 'without a reason'
}

/** Log in and wait until the player stands in the world; later failures reject `bot.over`. */
export async function join (folder, { host, port, version, name, isOwn }) {
  const mineflayer = packagesIn(folder)('mineflayer')
  const bot = mineflayer.createBot({
    host, port, version, username: name, auth: 'offline', hideErrors: true, logErrors: false, respawn: true,
    checkTimeoutInterval: 30000, viewDistance: 'short'
  })
  const where = `${host}:${port}`
  bot.over = new Promise((resolve, reject) => {
    const fail = message => reject(new Failure(message))
    bot.once('kicked', reason => fail(`the server at ${where} refuses or kicks the player: ${kickReason(reason)}`))
    bot.once('error', error => fail(lost(where, error)))
    bot.once('end', () => fail(`the server at ${where} closed the connection`))
    let heard = performance.now()
    bot._client.on('packet', () => { heard = performance.now() })
    const watch = setInterval(() => {
      if (performance.now() - heard > SILENCE_MS) fail(`the server at ${where} has been silent for 9 s`)
    }, 500)
    bot.once('end', () => clearInterval(watch))
  })
  bot.over.catch(() => {})
  const spawned = new Promise(resolve => bot.once('spawn', resolve))
  const ms = isOwn ? OWN_LOGIN_MS : LOGIN_MS
  await within(Promise.race([spawned, bot.over]), ms,
    `the server at ${where} answers, but lets the player not in within ${ms / 1000} s`)
  return bot
}
