// Text state: what the player has and hears, as plain values beside each picture. It never holds a goal.
import { plain } from './report.js'

const CHAT_LINES = 8
const CHAT_CHARACTERS = 200
const SHOWN_LINES = 4
/** Minecraft's screen shows a line so long. */
const SHOWN_MS = 10000

/** The newest lines that the server showed in its chat, each short and plain. They are state and nothing else. */
export class Chat {
  constructor () {
    this.heard = []
  }

  get lines () {
    return this.heard.map(({ line }) => line)
  }

  /** The lines that are on the screen. */
  get shown () {
    const first = performance.now() - SHOWN_MS
    return this.heard.filter(({ at }) => at > first).slice(-SHOWN_LINES).map(({ line }) => line)
  }

  add (text) {
    const heard = { line: plain(text, CHAT_CHARACTERS), at: performance.now() }
    this.heard = [...this.heard, heard].slice(-CHAT_LINES)
  }
}

/** The nine slots of the hotbar: {name, count}, or null. */
export function hotbar (bot) {
  const first = bot.inventory.hotbarStart
  return bot.inventory.slots.slice(first, first + 9).map(item => item ? { name: item.name, count: item.count } : null)
}

/** How many of each item the player carries, by name. */
export function inventory (bot) {
  const counts = {}
  for (const item of bot.inventory.items()) counts[item.name] = (counts[item.name] ?? 0) + item.count
  return counts
}

/** The JSON `state` of a picture. Angles are degrees as Minecraft shows them, positions blocks. */
export function textState (bot, chat) {
  const { position, yaw, pitch } = bot.entity
  const round = number => Math.round(number * 100) / 100
  return {
    health: bot.health ?? 0,
    food: bot.food ?? 0,
    position: [position.x, position.y, position.z].map(round),
    yaw: round(180 - yaw * 180 / Math.PI),
    pitch: round(-pitch * 180 / Math.PI),
    held: bot.heldItem?.name ?? null,
    selected: bot.quickBarSlot ?? 0,
    hotbar: hotbar(bot),
    inventory: inventory(bot),
    chat: chat.lines
  }
}
