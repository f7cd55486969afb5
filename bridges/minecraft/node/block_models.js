// Models of blocks that Minecraft draws as entities and prismarine-viewer not at all: signs, chests, beds, heads, banners.
//
// Plain boxes in the texture of the block's particles, which the viewer has. What is written on a sign is not drawn.
// Coordinates are sixteenths of a block, from west, bottom and north.
'use strict'

const FACES = ['down', 'up', 'north', 'east', 'south', 'west']
const FACING = { north: 0, east: 90, south: 180, west: 270 }

/** Boxes by the end of a block's name, the first that fits; `turns` by a side, or by `rotation` of 0 (south) to 15. */
const MODELS = [
  ['_wall_sign', 'facing', [[0, 4.5, 14], [16, 12.5, 16]]],
  ['_sign', 'rotation', [[0, 9, 7.3], [16, 17, 8.7]], [[7.3, 0, 7.3], [8.7, 9, 8.7]]],
  ['chest', '', [[1, 0, 1], [15, 14, 15]]],
  ['_bed', '', [[0, 3, 0], [16, 9, 16]]],
  ['_wall_skull', 'facing', [[4, 4, 8], [12, 12, 16]]],
  ['_wall_head', 'facing', [[4, 4, 8], [12, 12, 16]]],
  ['_skull', 'rotation', [[4, 0, 4], [12, 8, 12]]],
  ['_head', 'rotation', [[4, 0, 4], [12, 8, 12]]],
  ['_wall_banner', 'facing', [[1, -14, 14], [15, 12, 15]]],
  ['_banner', 'rotation', [[1, 4, 7.5], [15, 30, 8.5]], [[7.3, 0, 7.3], [8.7, 30, 8.7]]],
  ['shulker_box', '', [[0, 0, 0], [16, 16, 16]]]
]

/** The viewer's block states, with boxes for what has none; called by `screen.js`. */
function withEntityModels (states) {
  const made = Object.entries(states).map(([name, state]) => [name, entityState(name, state) ?? state])
  return Object.fromEntries(made)
}

/** The state of one block; undefined where it has elements already, or there is no model of it here. */
function entityState (name, state) {
  const model = state?.variants?.['']?.model
  const entry = MODELS.find(([end]) => name.endsWith(end))
  const particle = model?.textures?.particle
  if (!entry || !particle || model.elements.length) return undefined
  const [, turns, ...boxes] = entry
  const boxed = { ...model, ao: false, elements: boxes.map(box => elementOf(box, particle)) }
  if (turns === 'facing') {
    return variantsOf(Object.entries(FACING).map(([side, y]) => [`facing=${side}`, { model: boxed, y }]))
  }
  if (turns !== 'rotation') return variantsOf([['', { model: boxed }]])
  return variantsOf(Array.from({ length: 16 }, (_, k) => [`rotation=${k}`, { model: boxed, y: 22.5 * k }]))
}

const variantsOf = pairs => ({ variants: Object.fromEntries(pairs) })

/** A box whose sides show as much of the texture as they are large. */
function elementOf ([from, to], { u, v, su, sv }) {
  const [x, y, z] = from.map((low, axis) => Math.min(16, to[axis] - low) / 16)
  const sizes = { down: [x, z], up: [x, z], north: [x, y], south: [x, y], east: [z, y], west: [z, y] }
  const texture = side => ({ u, v, su: su * sizes[side][0], sv: sv * sizes[side][1], bu: u + su / 2, bv: v + sv / 2 })
  return { from, to, faces: Object.fromEntries(FACES.map(side => [side, { texture: texture(side) }])) }
}
