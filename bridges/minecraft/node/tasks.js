// Tasks of the embedded server: their instructions, what the player starts with, and their judge by the game's state.
import { hash, towerOf } from './terrain.js'

const NEAR_TOWER = 3.6
const DEPTH = 3
const PLACED = 3

/** `done` gets the episode's facts: {seed, start, position (in the seed's own coordinates), dug, inventory}. */
export const TASKS = {
  chop_tree: {
    sentences: ['chop a tree', 'cut down a tree', 'get some wood', 'find a tree and chop it', 'break a log off a tree'],
    limit: 600,
    items: [],
    done: ({ dug }) => dug.some(name => name.endsWith('_log'))
  },
  walk_to_tower: {
    sentences: ['walk to the tower', 'go to the tower', 'head for the stone tower', 'find the tower with the golden top'],
    limit: 600,
    items: [],
    done: ({ seed, position }) => {
      const tower = towerOf(seed)
      return Math.hypot(position.x - tower.x - 0.5, position.z - tower.z - 0.5) < NEAR_TOWER
    }
  },
  dig_down: {
    sentences: ['dig down', 'dig a hole', 'dig straight down', 'dig under your feet', 'mine downwards'],
    limit: 400,
    items: [],
    done: ({ start, position, dug }) => dug.length >= DEPTH && position.y <= start.y - DEPTH + 0.1
  },
  place_blocks: {
    sentences: ['place blocks', 'put down three blocks', 'build with the cobblestone', 'place some blocks in front of you'],
    limit: 300,
    items: [{ name: 'cobblestone', count: 16 }],
    done: ({ inventory }) => (inventory.cobblestone ?? 0) <= 16 - PLACED
  }
}

/** The goal of an episode: its task, its sentence by the seed, and what lies in the hotbar. */
export function goalOf (name, seed) {
  const task = TASKS[name]
  const sentence = task.sentences[Math.floor(hash(seed, 61) * task.sentences.length)]
  return { name, instruction: sentence, items: task.items, limit: task.limit, done: task.done }
}
