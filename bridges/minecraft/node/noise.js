// Noise: now and then the player does something random for a few steps, while the scripted player says what was right.
// Who learns from it sees how to come back from mistakes (DART, Laskey et al. 2017).
import { hash } from './terrain.js'

const [SHORTEST, LONGEST] = [3, 10]
const BUTTONS = ['forward', 'back', 'left', 'right', 'jump', 'attack']
const OPPOSITES = { back: 'forward', right: 'left' }
const BUTTON_PROB = 0.25
const CAMERA_PROB = 0.7
const LARGEST_TURN = 14

/** Random actions of an episode: `prob` is the chance a step that one begins, which then lasts 3 to 10 steps. */
export class Noise {
  constructor (prob, seed) {
    this.prob = prob
    this.seed = seed
    this.step = 0
    this.left = 0
    this.action = null
  }

  /** The action in place of the script's, or null. */
  next () {
    this.step++
    if (this.left === 0) {
      if (this.random(0) >= this.prob) return null
      this.left = SHORTEST + Math.floor(this.random(1) * (LONGEST - SHORTEST + 1))
      this.action = this.draw()
    }
    this.left--
    return this.action
  }

  draw () {
    const action = {}
    BUTTONS.forEach((name, k) => {
      if (this.random(10 + k) < BUTTON_PROB && !action[OPPOSITES[name]]) action[name] = 1
    })
    const turn = k => Math.round((2 * this.random(k) - 1) * LARGEST_TURN)
    if (this.random(2) < CAMERA_PROB) action.camera = [turn(3), turn(4)]
    return action
  }

  random (purpose) {
    return hash(this.seed, 71, this.step, purpose)
  }
}
