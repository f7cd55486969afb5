// The scripted player: a program, not a person and not the model, that does the embedded server's tasks.
//
// It knows the world, but goes by what is in its view: what it cannot see it turns around for, always to the right, so
// that who learns from it needs nothing but the picture. It answers with the controls that everybody has, buttons and
// whole degrees of camera, and goes on from wherever it is put.
import { towerOf, treesIn } from './terrain.js'

export const NAME = 'scripted-minecraft'
const DEGREE = 180 / Math.PI
/** Degrees that it turns in a step: the largest of these below the error, so that few different turns are to be learnt. */
const TURNS = [1, 2, 4, 8, 14]
const SEARCH_TURN = 12
/** Where it looks while it walks, degrees below the horizon. */
const WALK_PITCH = 8
/** Degrees to either side that count as in view; the picture has 51. */
const VIEW = 44
const VIEW_DISTANCE = { tree: 22, tower: 36 }
const EXPLORE_STEPS = 30
const REACH = 3.4
const STUCK_STEPS = 8
const SIDESTEP_STEPS = 14
/** A target that was seen is walked to for so many steps while something hides it. */
const REMEMBERED_STEPS = 40

/** The next whole degrees of a turn by `error` degrees: quick at first, then slower, exact to a degree. */
export function turnBy (error) {
  const size = Math.abs(error)
  const turn = TURNS.filter(degrees => degrees <= size).at(-1)
  return turn ? Math.sign(error) * turn : 0
}

/** Errors in degrees of `eyes` (radians, mineflayer's) towards a point: right and down are positive. */
export function errorsTo (eyes, point) {
  const [dx, dy, dz] = [point.x - eyes.x, point.y - eyes.y, point.z - eyes.z]
  const right = (eyes.yaw - Math.atan2(-dx, -dz)) * DEGREE
  return {
    yaw: ((right + 180) % 360 + 360) % 360 - 180,
    pitch: (eyes.pitch - Math.atan2(dy, Math.hypot(dx, dz))) * DEGREE,
    distance: Math.hypot(dx, dz)
  }
}

export class ScriptedPlayer {
  constructor (body, task, seed, origin) {
    this.body = body
    this.bot = body.bot
    this.task = task
    this.origin = origin
    this.stuck = 0
    this.sidestep = 0
    this.side = 'left'
    this.lastPlace = null
    this.target = null
    this.unseen = 0
    this.searched = 0
    this.trees = treesIn(seed, -40, -40, 40, 40).map(tree => this.trunkOf(tree))
    this.tower = this.topOf(towerOf(seed))
  }

  /** The action of the next step. */
  act () {
    return this[this.task]()
  }

  trunkOf ({ x, y, z, height }) {
    const at = dy => ({ x: this.origin + x + 0.5, y: y + dy + 0.5, z: z + 0.5 })
    return { kind: 'tree', marks: [at(1), at(2)], parts: Array.from({ length: height }, (_, k) => at(k + 1)), block: /_log$/ }
  }

  topOf ({ x, y, z, height }) {
    const at = dy => ({ x: this.origin + x + 0.5, y: y + dy + 0.5, z: z + 0.5 })
    return { kind: 'tower', marks: [at(height), at(6), at(3)], parts: [at(2)], block: /^(gold_block|stone_bricks)$/ }
  }

  chop_tree () { // eslint-disable-line camelcase
    const aimed = this.body.aimedBlock()
    if (aimed?.name.endsWith('_log')) return { attack: 1 }
    const tree = this.find(this.trees)
    if (!tree) return this.search()
    const { eyes } = this.body
    const level = eyes.y - 0.6
    const parts = tree.parts.filter(part => this.bot.blockAt(new this.body.Vec3(part.x, part.y, part.z))?.name.endsWith('_log'))
    const part = parts.sort((a, b) => Math.abs(a.y - level) - Math.abs(b.y - level))[0] ?? tree.parts[0]
    const error = errorsTo(eyes, part)
    if (error.distance > REACH) return this.walkTo(error, error.distance < 7 ? error.pitch : null)
    const isAimed = Math.abs(error.yaw) < 3 && Math.abs(error.pitch) < 4
    if (isAimed && !aimed) return this.walkTo(error, error.pitch)
    return { camera: [turnBy(error.pitch), turnBy(error.yaw)], attack: isAimed ? 1 : 0 } // leaves in between
  }

  walk_to_tower () { // eslint-disable-line camelcase
    const tower = this.find([this.tower])
    return tower ? this.walkTo(errorsTo(this.body.eyes, tower.parts[0])) : this.search()
  }

  dig_down () { // eslint-disable-line camelcase
    const { bot } = this
    const { x, y, z } = bot.entity.position
    const middle = { x: Math.floor(x) + 0.5, y: y - 0.5, z: Math.floor(z) + 0.5 }
    const below = bot.blockAt(new this.body.Vec3(x, y - 0.5, z))
    const isOnEdge = bot.entity.onGround && (!below || below.boundingBox === 'empty')
    const error = errorsTo(this.body.eyes, middle)
    const pitch = 84 + this.body.eyes.pitch * DEGREE
    if (isOnEdge) { // the hole is beside the feet
      return { camera: [turnBy(pitch), turnBy(error.yaw)], forward: Math.abs(error.yaw) < 30 ? 1 : 0 }
    }
    return { camera: [turnBy(pitch), 0], attack: Math.abs(pitch) < 10 ? 1 : 0 }
  }

  place_blocks () { // eslint-disable-line camelcase
    if (this.bot.heldItem?.name !== 'cobblestone') return { 'hotbar.1': this.body.last['hotbar.1'] ? 0 : 1 }
    const pitch = 48 + this.body.eyes.pitch * DEGREE
    const aimed = this.body.aimedBlock()
    const isGround = aimed && aimed.name !== 'cobblestone' && aimed.face === 1
    const isLevel = Math.abs(pitch) < 8
    return {
      camera: [turnBy(pitch), isLevel && !isGround ? SEARCH_TURN : 0],
      use: isLevel && isGround && !this.body.last.use ? 1 : 0
    }
  }

  /** The target to go for: the nearest in view, and the one before while it is about as near or only just hidden. */
  find (targets) {
    const { eyes } = this.body
    const seen = targets.filter(target => this.sees(target))
    const far = target => errorsTo(eyes, target.parts[0]).distance - (target === this.target ? 2.5 : 0)
    const nearest = seen.sort((a, b) => far(a) - far(b))[0]
    this.unseen = seen.includes(this.target) ? 0 : this.unseen + 1
    if (nearest && (seen.includes(this.target) || this.unseen > 5 || !this.target)) {
      this.target = nearest
      this.unseen = 0
    }
    const isRemembered = this.target && this.unseen < REMEMBERED_STEPS &&
      Math.abs(errorsTo(eyes, this.target.parts[0]).yaw) < VIEW
    if (!isRemembered) this.target = null
    if (this.target) this.searched = 0
    return this.target
  }

  /** Whether one of the target's marks is in view with nothing before it. */
  sees (target) {
    const { eyes, Vec3 } = this.body
    const { yaw, distance } = errorsTo(eyes, target.parts[0])
    if (Math.abs(yaw) > VIEW || distance > VIEW_DISTANCE[target.kind]) return false
    const from = new Vec3(eyes.x, eyes.y, eyes.z)
    return target.marks.some(mark => {
      const way = new Vec3(mark.x - eyes.x, mark.y - eyes.y, mark.z - eyes.z)
      const hit = this.bot.world.raycast(from, way.normalize(), distance + 4)
      return hit && target.block.test(hit.name) && Math.hypot(hit.position.x + 0.5 - mark.x, hit.position.z + 0.5 - mark.z) < 2
    })
  }

  /** Turn to the right until something is in view; after a whole turn go on a little. */
  search () {
    this.searched++
    const pitch = turnBy(WALK_PITCH + this.body.eyes.pitch * DEGREE)
    const round = Math.ceil(370 / SEARCH_TURN)
    if (this.searched % (round + EXPLORE_STEPS) <= round) return { camera: [pitch, SEARCH_TURN] }
    return { camera: [pitch, 0], forward: 1, jump: this.isBlocked() ? 1 : 0 }
  }

  /** Towards what is `error` away: turn, walk, jump onto steps, go round what stands in the way. */
  walkTo (error, pitch = null) {
    const isFacing = Math.abs(error.yaw) < 25
    this.watchProgress(isFacing)
    const down = pitch ?? WALK_PITCH + this.body.eyes.pitch * DEGREE
    const action = { camera: [turnBy(down), turnBy(error.yaw)], forward: isFacing ? 1 : 0 }
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
}
