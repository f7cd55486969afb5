// The scripted player: a program, not a person and not the model, that does the embedded server's tasks.
//
// It plays through the controls that everybody has: it looks at the game's state, and answers with buttons and whole
// degrees of camera. What the body does with them is the same as for the model, and is what gets recorded.
import { towerOf } from './terrain.js'

export const NAME = 'scripted-minecraft'
const DEGREE = 180 / Math.PI
const TURN_SHARE = 0.4
const FASTEST_TURN = 20
const WALK_DISTANCE = 2.6
const STUCK_STEPS = 8
const SIDESTEP_STEPS = 14

/** The next whole degrees of a turn by `error` degrees: quick at first, then slower, exact to half a degree. */
export function turnBy (error) {
  const wanted = Math.abs(error) < 3 ? error : error * TURN_SHARE
  const degrees = Math.round(Math.max(-FASTEST_TURN, Math.min(FASTEST_TURN, wanted)))
  return degrees === 0 && Math.abs(error) > 0.6 ? Math.sign(error) : degrees
}

/** The camera action that turns `eyes` (radians, mineflayer's) towards a point, and the error in degrees. */
export function aimAt (eyes, point) {
  const [dx, dy, dz] = [point.x - eyes.x, point.y - eyes.y, point.z - eyes.z]
  const yaw = Math.atan2(-dx, -dz)
  const pitch = Math.atan2(dy, Math.hypot(dx, dz))
  const right = ((eyes.yaw - yaw) * DEGREE + 540) % 360 - 180
  const down = (eyes.pitch - pitch) * DEGREE
  const yawError = right < -180 ? right + 360 : right
  return { camera: [turnBy(down), turnBy(yawError)], error: Math.hypot(down, yawError), yawError }
}

export class ScriptedPlayer {
  constructor (body, goal, seed, origin) {
    this.body = body
    this.bot = body.bot
    this.goal = goal
    this.seed = seed
    this.origin = origin
    this.step = 0
    this.stuck = 0
    this.sidestep = 0
    this.side = 'left'
    this.lastPlace = null
  }

  /** The action of the next step. */
  act () {
    this.step++
    return this[this.goal.name]()
  }

  chop_tree () { // eslint-disable-line camelcase
    const log = this.nearestLog()
    if (!log) return { camera: [0, 12] }
    const point = { x: log.x + 0.5, y: log.y + 0.5, z: log.z + 0.5 }
    const { eyes } = this.body
    const { camera, error } = aimAt(eyes, point)
    if (Math.hypot(point.x - eyes.x, point.z - eyes.z) > WALK_DISTANCE) return this.walkTo(point)
    const aimed = this.body.aimedBlock()
    const isOnLog = Boolean(aimed && aimed.name.endsWith('_log'))
    const isBlocked = Boolean(aimed && error < 3 && !isOnLog) // by leaves
    return { camera: isOnLog && error < 12 ? [0, 0] : camera, attack: isOnLog || isBlocked ? 1 : 0 }
  }

  walk_to_tower () { // eslint-disable-line camelcase
    const tower = towerOf(this.seed)
    const point = { x: this.origin + tower.x + 0.5, y: tower.y + 4, z: tower.z + 0.5 }
    return this.walkTo(point)
  }

  dig_down () { // eslint-disable-line camelcase
    const down = 86 + this.body.eyes.pitch * DEGREE
    return { camera: [turnBy(down), 0], attack: Math.abs(down) < 4 ? 1 : 0 }
  }

  place_blocks () { // eslint-disable-line camelcase
    if (this.bot.heldItem?.name !== 'cobblestone') return { 'hotbar.1': this.step % 2 }
    const down = 42 + this.body.eyes.pitch * DEGREE
    const cycle = this.step % 14
    const yaw = cycle >= 6 && cycle < 10 ? 9 : 0
    return { camera: [turnBy(down), yaw], use: Math.abs(down) < 4 && cycle === 12 ? 1 : 0 }
  }

  /** Towards a point on the ground: turn, walk, jump onto steps, go round what stands in the way. */
  walkTo (point) {
    const { eyes } = this.body
    const { camera, yawError } = aimAt(eyes, { ...point, y: eyes.y - 1 })
    const isFacing = Math.abs(yawError) < 25
    this.watchProgress(isFacing)
    const action = { camera, forward: isFacing ? 1 : 0 }
    if (isFacing && this.isBlocked()) action.jump = 1
    if (this.sidestep > 0) {
      this.sidestep--
      action[this.side] = 1
    }
    return action
  }

  isBlocked () {
    return this.bot.entity.isCollidedHorizontally || this.stuck > 2
  }

  watchProgress (isWalking) {
    const { x, z } = this.bot.entity.position
    const moved = this.lastPlace ? Math.hypot(x - this.lastPlace.x, z - this.lastPlace.z) : 1
    this.lastPlace = { x, z }
    this.stuck = isWalking && moved < 0.03 ? this.stuck + 1 : 0
    if (this.stuck < STUCK_STEPS) return
    this.stuck = 0
    this.side = this.side === 'left' ? 'right' : 'left'
    this.sidestep = SIDESTEP_STEPS
  }

  /** The log that is easiest to hit: of the nearest trunk, the one at the height of the eyes. */
  nearestLog () {
    if (this.log && this.bot.blockAt(this.log)?.name.endsWith('_log')) return this.log
    const { eyes } = this.body
    const cost = log => Math.hypot(log.x + 0.5 - eyes.x, log.z + 0.5 - eyes.z) + 0.5 * Math.abs(log.y + 0.5 - eyes.y)
    const logs = this.bot.findBlocks({ matching: block => block.name.endsWith('_log'), maxDistance: 32, count: 64 })
    this.log = logs.sort((a, b) => cost(a) - cost(b))[0] ?? null
    return this.log
  }
}
