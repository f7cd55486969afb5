// Tasks of the embedded server: their instructions, and their judge by the server's state.
import { hash, towerOf } from './terrain.js'

const NEAR_TOWER = 3.6
const DEPTH = 3
const PLACED = 3

/** What lies in the hotbar at the start of every task: what the player has does not tell what it is to do. */
export const ITEMS = [{ name: 'cobblestone', count: 16 }]

/** `done` gets the server's facts: {seed, start, position (in the seed's own coordinates), dug, placed (names)}. */
export const TASKS = {
  chop_tree: {
    sentences: ['chop a tree', 'cut down a tree', 'get some wood', 'find a tree and chop it', 'break a log off a tree', 'collect a log'],
    limit: 400,
    done: ({ dug }) => dug.some(name => name.endsWith('_log'))
  },
  walk_to_tower: {
    sentences: ['walk to the tower', 'go to the tower', 'head for the stone tower', 'find the tower with the golden top', 'move towards the tower'],
    limit: 400,
    done: ({ seed, position }) => {
      const tower = towerOf(seed)
      return Math.hypot(position.x - tower.x - 0.5, position.z - tower.z - 0.5) < NEAR_TOWER
    }
  },
  dig_down: {
    sentences: ['dig down', 'dig a hole', 'dig straight down', 'dig under your feet', 'mine downwards'],
    limit: 200,
    done: ({ start, position, dug }) => dug.length >= DEPTH && position.y <= start.y - DEPTH + 0.1
  },
  place_blocks: {
    sentences: ['place blocks', 'put down three blocks', 'build with the cobblestone', 'place some blocks in front of you', 'lay cobblestone on the ground'],
    limit: 200,
    done: ({ placed }) => placed.length >= PLACED
  }
}

/** The sentence of a task by the seed. */
export function sentenceOf (task, seed) {
  const { sentences } = TASKS[task]
  return sentences[Math.floor(hash(seed, 61) * sentences.length)]
}

/** What was reached of an episode's facts, by the tasks' names. */
export function reachedIn (facts) {
  return Object.keys(TASKS).filter(name => TASKS[name].done(facts))
}

/** Another task than this one, and a sentence for it: what a player hears in a test of whether words count. */
export function swappedOf (task, seed) {
  const others = Object.keys(TASKS).filter(name => name !== task)
  const other = others[Math.floor(hash(seed, 62) * others.length)]
  return { task: other, instruction: sentenceOf(other, seed) }
}
