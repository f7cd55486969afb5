// Seeded terrain of the embedded server: gentle hills, oak trees, ore, and one tower for each seed.
//
// The world is cut into regions of 1024 blocks along x. Region k holds the world of one seed, around the spawn at
// x = 1024 k, z = 0. So one server plays one seed after the other, and a seed's world is the same wherever it is.

export const REGION = 1024
const GROUND = 40
const TREE_CELL = 12

/** A number of [0, 1) for integers, the same in every process. */
export function hash (...numbers) {
  let h = 0x9e3779b9
  for (const number of numbers) {
    h = Math.imul(h ^ (number | 0), 0x85ebca6b)
    h = Math.imul(h ^ (h >>> 13), 0xc2b2ae35)
    h ^= h >>> 16
  }
  return (h >>> 0) / 2 ** 32
}

function smooth (t) {
  return t * t * (3 - 2 * t)
}

/** Value noise of [0, 1) at x, z, with `scale` blocks between its lattice points. */
function noise (seed, x, z, scale) {
  const [cx, cz] = [Math.floor(x / scale), Math.floor(z / scale)]
  const [u, v] = [smooth(x / scale - cx), smooth(z / scale - cz)]
  const at = (i, j) => hash(seed, 11, cx + i, cz + j)
  const near = at(0, 0) * (1 - u) + at(1, 0) * u
  const far = at(0, 1) * (1 - u) + at(1, 1) * u
  return near * (1 - v) + far * v
}

/** The y of the grass block at x, z of a seed's world. */
export function groundAt (seed, x, z) {
  return GROUND + Math.round(3 * noise(seed, x, z, 24) + noise(seed, x, z, 9))
}

/** Trunk of the first tree: 5 to 9 blocks from the spawn. */
function firstTree (seed) {
  const angle = 2 * Math.PI * hash(seed, 21)
  const distance = 5 + 4 * hash(seed, 22)
  return { x: Math.round(distance * Math.cos(angle)), z: Math.round(distance * Math.sin(angle)) }
}

/** The tower of a seed's world: middle of its 3 x 3 blocks, 16 to 26 blocks from the spawn, and its height. */
export function towerOf (seed) {
  const angle = 2 * Math.PI * hash(seed, 31)
  const distance = 16 + 10 * hash(seed, 32)
  const [x, z] = [Math.round(distance * Math.cos(angle)), Math.round(distance * Math.sin(angle))]
  return { x, z, y: groundAt(seed, x, z), height: 9 }
}

/** Trunks whose leaves may reach into x0 ≤ x < x1, z0 ≤ z < z1 of a seed's world, with their heights. */
export function treesIn (seed, x0, z0, x1, z1) {
  const tower = towerOf(seed)
  const first = firstTree(seed)
  const trees = [{ ...first, height: 5 }]
  for (let cx = Math.floor((x0 - 3) / TREE_CELL); cx <= Math.floor((x1 + 3) / TREE_CELL); cx++) {
    for (let cz = Math.floor((z0 - 3) / TREE_CELL); cz <= Math.floor((z1 + 3) / TREE_CELL); cz++) {
      if (hash(seed, 41, cx, cz) > 0.4) continue
      const x = cx * TREE_CELL + 2 + Math.floor(5 * hash(seed, 42, cx, cz))
      const z = cz * TREE_CELL + 2 + Math.floor(5 * hash(seed, 43, cx, cz))
      const near = (place, distance) => Math.hypot(x - place.x, z - place.z) < distance
      if (near({ x: 0, z: 0 }, 5) || near(first, 5) || near(tower, 6)) continue
      trees.push({ x, z, height: 5 + Math.floor(2 * hash(seed, 44, cx, cz)) })
    }
  }
  return trees.map(tree => ({ ...tree, y: groundAt(seed, tree.x, tree.z) }))
}

/** Blocks above the ground in x0 ≤ x < x1, z0 ≤ z < z1: {x, y, z, name}; later ones replace earlier ones. */
export function structuresIn (seed, x0, z0, x1, z1) {
  const blocks = []
  const put = (x, y, z, name) => {
    if (x >= x0 && x < x1 && z >= z0 && z < z1) blocks.push({ x, y, z, name })
  }
  for (const tree of treesIn(seed, x0, z0, x1, z1)) growOak(tree, put)
  const tower = towerOf(seed)
  for (let x = tower.x - 1; x <= tower.x + 1; x++) {
    for (let z = tower.z - 1; z <= tower.z + 1; z++) {
      const low = Math.min(tower.y, groundAt(seed, x, z))
      for (let y = low + 1; y <= tower.y + tower.height; y++) {
        put(x, y, z, y === tower.y + tower.height ? 'gold_block' : 'stone_bricks')
      }
    }
  }
  return blocks
}

function growOak ({ x, y, z, height }, put) {
  const top = y + height
  for (let level = top - 2; level <= top + 1; level++) {
    const reach = level < top ? 2 : 1
    for (let dx = -reach; dx <= reach; dx++) {
      for (let dz = -reach; dz <= reach; dz++) {
        const corner = Math.abs(dx) === reach && Math.abs(dz) === reach
        if (!corner || level < top - 1) put(x + dx, level, z + dz, 'oak_leaves')
      }
    }
  }
  for (let level = y + 1; level <= top; level++) put(x, level, z, 'oak_log')
}

/** The block at x, y, z below the ground `ground` of a seed's world. */
export function stoneAt (seed, x, y, z, ground) {
  if (y === 0) return 'bedrock'
  if (y === ground) return 'grass_block'
  if (y > ground - 3) return 'dirt'
  const chance = hash(seed, 51, x, y, z)
  if (chance < 0.012) return 'iron_ore'
  return chance < 0.035 ? 'coal_ore' : 'stone'
}

/** Generator of chunks as flying-squid wants one; `seedOf(region)` is the seed of a region's world. */
export function terrain (Vec3, newChunk, seedOf) {
  return ({ registry }) => {
    const states = {}
    const stateOf = name => (states[name] ??= registry.blocksByName[name].defaultState)
    const biome = registry.biomesByName.plains.id
    return (chunkX, chunkZ) => {
      const chunk = newChunk(registry)
      const region = Math.floor((chunkX * 16 + REGION / 2) / REGION)
      const worldSeed = seedOf(region)
      const [x0, z0] = [chunkX * 16 - region * REGION, chunkZ * 16]
      const at = new Vec3(0, 0, 0)
      for (let x = 0; x < 16; x++) {
        for (let z = 0; z < 16; z++) {
          const ground = groundAt(worldSeed, x0 + x, z0 + z)
          for (let y = 0; y < 64; y++) {
            at.set(x, y, z)
            if (y <= ground) chunk.setBlockStateId(at, stateOf(stoneAt(worldSeed, x0 + x, y, z0 + z, ground)))
            chunk.setSkyLight(at, 15)
            if (y % 4 === 0) chunk.setBiome(at, biome)
          }
        }
      }
      for (const block of structuresIn(worldSeed, x0, z0, x0 + 16, z0 + 16)) {
        chunk.setBlockStateId(at.set(block.x - x0, block.y, block.z - z0), stateOf(block.name))
      }
      return chunk
    }
  }
}
