// The body: Minecraft's controls, one action for each step, on a mineflayer bot.
//
// Buttons are held from step to step, as keys are. The view turns by the camera control alone: mineflayer's own aiming
// is switched off. Digging takes as long as in Minecraft, and ends when the button is released or the aim leaves the
// block.

const HELD = ['forward', 'back', 'left', 'right', 'jump', 'sneak', 'sprint']
const BLOCK_REACH = 4.5
const ENTITY_REACH = 3
/** Ticks between two blocks that are dug with the button held, and between two uses. */
const DIG_DELAY = 5
const USE_DELAY = 4
const SWING_TICKS = 6
const EYES = 1.62
const EYES_SNEAKING = 1.27
const FACES = [[0, -1, 0], [0, 1, 0], [0, 0, -1], [0, 0, 1], [-1, 0, 0], [1, 0, 0]]
const DEGREE = Math.PI / 180
const STEEPEST = Math.PI / 2 - 1e-4

/** Yaw and pitch in radians, as mineflayer has them, after a camera action [pitch, yaw] in degrees. */
export function turned ({ yaw, pitch }, [pitchDegrees, yawDegrees]) {
  return {
    yaw: yaw - yawDegrees * DEGREE,
    pitch: Math.max(-STEEPEST, Math.min(STEEPEST, pitch - pitchDegrees * DEGREE))
  }
}

export class Body {
  constructor (bot, Vec3) {
    this.bot = bot
    this.Vec3 = Vec3
    this.tick = 0
    this.last = {}
    this.dig = null
    this.nextDig = 0
    this.nextUse = 0
    this.swingAt = -SWING_TICKS
    bot.lookAt = async () => {}
    bot.on('physicsTick', () => { this.tick++ })
    bot.on('windowOpen', window => bot.closeWindow(window)) // its screen is not drawn
  }

  get eyes () {
    const { x, y, z } = this.bot.entity.position
    const height = this.bot.getControlState('sneak') ? EYES_SNEAKING : EYES
    return { x, y: y + height, z, yaw: this.bot.entity.yaw, pitch: this.bot.entity.pitch }
  }

  /** The block at the crosshair, with its `face` and the place that is hit (`intersect`); null beyond reach. */
  aimedBlock () {
    const { x, y, z, yaw, pitch } = this.eyes
    const level = Math.cos(pitch)
    const direction = new this.Vec3(-Math.sin(yaw) * level, Math.sin(pitch), -Math.cos(yaw) * level)
    return this.bot.world.raycast(new this.Vec3(x, y, z), direction, BLOCK_REACH)
  }

  /** What the view draws at the crosshair: the aimed block, and how far it is dug (0 to 1). */
  get target () {
    const block = this.aimedBlock()
    if (!block) return null
    const { x, y, z } = block.position
    const dug = this.dig && this.dig.block.position.equals(block.position)
    return { x, y, z, progress: dug ? Math.min(1, (performance.now() - this.dig.began) / this.dig.ms) : 0 }
  }

  /** How far the hand has struck, 0 to 1. */
  get swing () {
    const age = this.tick - this.swingAt
    if (this.dig) return (age % SWING_TICKS) / SWING_TICKS
    return age < SWING_TICKS ? age / SWING_TICKS : 0
  }

  /** Do one step's action, a value for each control of the spec. */
  apply (action) {
    const pressed = name => Boolean(action[name]) && !this.last[name]
    this.turn(action.camera ?? [0, 0])
    for (const name of HELD) this.bot.setControlState(name, Boolean(action[name]))
    for (let slot = 0; slot < 9; slot++) if (pressed(`hotbar.${slot + 1}`)) this.bot.setQuickBarSlot(slot)
    this.attack(Boolean(action.attack), pressed('attack'))
    this.use(Boolean(action.use), pressed('use'))
    if (pressed('drop')) this.digPacket(4)
    if (pressed('swapHands') && this.bot.supportFeature('doesntHaveOffHandSlot') === false) this.digPacket(6)
    this.last = action
  }

  /** Release every key. */
  release () {
    this.apply({})
  }

  turn (camera) {
    const { yaw, pitch } = turned(this.bot.entity, camera)
    this.bot.look(yaw, pitch, true)
  }

  attack (held, isNew) {
    const entity = isNew ? this.bot.entityAtCursor(ENTITY_REACH) : null
    if (entity) {
      this.strike()
      this.bot.attack(entity)
      return
    }
    const block = held ? this.aimedBlock() : null
    if (this.dig && !(block && block.position.equals(this.dig.block.position))) this.stopDigging()
    if (isNew && !block) {
      this.strike()
      this.bot.swingArm('right')
    }
    if (block && !this.dig && this.tick >= this.nextDig && block.diggable) this.startDigging(block)
  }

  startDigging (block) {
    const ms = this.bot.digTime(block)
    if (!Number.isFinite(ms)) return
    this.strike()
    const dig = { block, ms, began: performance.now() }
    this.dig = dig
    const end = () => {
      if (this.dig !== dig) return
      this.dig = null
      this.nextDig = this.tick + DIG_DELAY
    }
    this.bot.dig(block, 'ignore').then(end, end)
  }

  stopDigging () {
    this.dig = null
    this.bot.stopDigging()
  }

  use (held, isNew) {
    if (this.usingItem && !held) {
      this.usingItem = false
      this.bot.deactivateItem()
    }
    if (!held || !(isNew || this.tick >= this.nextUse)) return
    this.nextUse = this.tick + USE_DELAY
    const block = this.aimedBlock()
    const ignore = () => {} // the server says what became of it
    if (!block) {
      if (isNew && this.bot.heldItem) {
        this.usingItem = true
        this.bot.activateItem()
      }
      return
    }
    this.strike()
    const face = new this.Vec3(...FACES[block.face])
    const delta = block.intersect.minus(block.position)
    if (this.bot.heldItem) {
      this.bot._genericPlace(block, face, { forceLook: 'ignore', swingArm: 'right', delta }).catch(ignore)
    } else {
      this.bot.activateBlock(block, face, delta).catch(ignore)
    }
  }

  strike () {
    if (this.tick - this.swingAt >= SWING_TICKS) this.swingAt = this.tick
  }

  digPacket (status) {
    this.bot._client.write('block_dig', { status, location: { x: 0, y: 0, z: 0 }, face: 0, sequence: 0 })
  }
}
