// An episode: one picture, one action, one step of 50 ms after the other.
//
// A step begins with a tick of the game's physics. Its picture shows exactly that tick. The action that is due when the
// step ends is what the next tick does. Where a picture takes longer than a step, the step is longer: what is recorded
// is what was done from one picture to the next.
import { hotbar, textState } from './state.js'

const TICK_MS = 50
/** Where a picture took so long that the step is over, a model still has so long for its answer. */
const ANSWER_MS = 25
/** An action is taken up so long before the next tick. */
const AHEAD_MS = 6
/** Where no tick comes, since a chunk is missing, a step goes on after so long. */
const NO_TICK_MS = 150

export const wait = ms => new Promise(resolve => setTimeout(resolve, ms))

/** The next tick of the physics, or the end of patience. */
function nextTick (bot) {
  return new Promise(resolve => {
    const done = () => {
      clearTimeout(timer)
      bot.off('physicsTick', done)
      resolve()
    }
    const timer = setTimeout(done, NO_TICK_MS)
    bot.on('physicsTick', done)
  })
}

/** The moment that a picture shows. */
export function momentOf (body, chat) {
  const { bot } = body
  return {
    eyes: body.eyes,
    target: body.target,
    hud: {
      slots: hotbar(bot),
      selected: bot.quickBarSlot ?? 0,
      health: bot.health ?? 20,
      food: bot.food ?? 20,
      chat: chat.shown,
      swing: body.swing
    }
  }
}

/** A full action of the spec's controls, with nothing but numbers. */
export function complete (spec, action) {
  return Object.fromEntries(spec.controls.map(({ name, kind }) => {
    if (kind !== 'camera') return [name, action[name] ? 1 : 0]
    const [pitch = 0, yaw = 0] = action[name] ?? []
    return [name, [pitch, yaw]]
  }))
}

/**
 * Play until `isOver()` says how it ended; returns that. `script` {label(), action(label)} is a program that says what is
 * right at each step, and what is done where not the partner decides (null: the partner does).
 * `tally` {frames, actions, ticks, seconds} is counted up.
 */
export async function playEpisode ({ body, view, chat, spec, partner, script, isOver, tally }) {
  const { bot } = body
  let [at, tick] = [performance.now(), body.tick]
  for (;;) {
    const ending = isOver()
    if (ending) {
      body.release()
      return ending
    }
    const began = performance.now()
    const moment = momentOf(body, chat)
    const state = textState(bot, chat)
    const label = script ? complete(spec, script.label()) : null // of the moment that the picture shows
    const jpeg = await view.capture(moment)
    tally.frames++
    partner.observe(jpeg, state)
    const end = began + TICK_MS - AHEAD_MS
    await partner.answer?.(Math.max(end, performance.now() + ANSWER_MS))
    const left = end - performance.now()
    if (left > 0) await wait(left)
    const scripted = script?.action(label) ?? null
    const action = scripted === label && label ? label : complete(spec, scripted ?? partner.act())
    body.apply(action)
    tally.actions++
    await Promise.all([partner.did(jpeg, action, label ?? action), nextTick(bot)])
    tally.ticks += body.tick - tick
    tally.seconds += (performance.now() - at) / 1000
    ;[at, tick] = [performance.now(), body.tick]
  }
}
