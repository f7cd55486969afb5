// The embedded server: flying-squid with our terrain, for one player, in a process of its own.
//
// Started by `fork`. It says {listening: port}, answers {reset, seed, region, name} with {spawn}, and judges: {reached}
// has the names of the tasks that its state shows as done. It ends with its parent.
import { Failure, plain } from './report.js'
import { packagesIn } from './packages.js'
import { ITEMS, reachedIn } from './tasks.js'
import { REGION, groundAt, terrain } from './terrain.js'

const VERSION = '1.16.4'
const JUDGE_MS = 50
const [, , folder, firstSeed] = process.argv
const require = packagesIn(folder)

process.on('disconnect', () => process.exit(0))
process.on('uncaughtException', error => {
  process.send?.({ failed: plain(error.message) })
  process.exitCode = 1
  setTimeout(() => process.exit(1), 50)
})

const squid = require('flying-squid')
const squidRequire = packagesIn(require('node:path').dirname(require.resolve('flying-squid')) + '/..')
const { Vec3 } = squidRequire('vec3')
const chunkClass = squidRequire('prismarine-chunk')
/** Seeds of the regions' worlds; those of regions where nobody was yet are of no account. */
const seeds = new Map([[0, Number(firstSeed)]])
const seedOf = region => seeds.get(region) ?? Number(firstSeed) + region
squid.generations.iafm = terrain(Vec3, registry => new (chunkClass(registry))(), seedOf)

const server = squid.createMCServer({
  motd: 'iafm',
  host: '127.0.0.1',
  port: 0,
  'max-players': 4,
  'online-mode': false,
  logging: false,
  gameMode: 0,
  difficulty: 0,
  generation: { name: 'iafm', options: { seed: 1 } },
  kickTimeout: 10000,
  plugins: {},
  modpe: false,
  'view-distance': 4,
  'player-list-text': { header: { text: '' }, footer: { text: '' } },
  'everybody-op': false,
  'max-entities': 100,
  version: VERSION
})

server.on('error', error => { throw error })
server.once('ready', () => process.send({ listening: server.listeningPort }))
process.on('message', message => {
  if (message.reset) reset(message).catch(error => process.send({ failed: plain(error.message) }))
})

/** The episode under way: its seed, region and player, and the facts that its judge goes by. */
let episode = null

server.on('newPlayer', player => {
  const { setBlock } = player
  player.setBlock = (position, state, ...rest) => { // also called for what stood on a block that is gone
    if (episode?.player === player && state) episode.placed.push(server.registry.blocksByStateId[state].name)
    return setBlock(position, state, ...rest)
  }
  player.on('dug', ({ block }) => { if (episode?.player === player) episode.dug.push(block.name) })
})

setInterval(() => {
  if (!episode) return
  const { region, reached } = episode
  const position = episode.player.position.offset(-region * REGION, 0, 0)
  const news = reachedIn({ ...episode, position }).filter(name => !reached.has(name))
  if (!news.length) return
  news.forEach(name => reached.add(name))
  process.send({ reached: news })
}, JUDGE_MS)

/** Put the player into another seed's world, at its spawn, with nothing but what every task begins with. */
async function reset ({ seed, region, name }) {
  episode = null
  const player = server.players.find(player => player.username === name)
  if (!player) throw new Failure(`no player called ${name}`)
  while (player.sendingChunks !== false) await new Promise(resolve => setTimeout(resolve, 10)) // it still logs in
  seeds.set(region, seed)
  const start = new Vec3(0.5, groundAt(seed, 0, 0) + 1, 0.5)
  const spawn = start.offset(region * REGION, 0, 0)
  fill(player)
  player.position = spawn
  player.knownPosition = spawn
  player.lastPositionChunkUpdated = spawn
  player.sendSelfPosition()
  await player.worldSendRestOfChunks()
  episode = { seed, region, player, start, dug: [], placed: [], reached: new Set() }
  process.send({ spawn: { x: spawn.x, y: spawn.y, z: spawn.z } })
}

function fill (player) {
  const Item = squidRequire('prismarine-item')(server.registry)
  for (let slot = 0; slot < player.inventory.slots.length; slot++) {
    if (player.inventory.slots[slot]) player.inventory.updateSlot(slot, null)
  }
  ITEMS.forEach(({ name, count }, place) => {
    const item = new Item(server.registry.itemsByName[name].id, count)
    player.inventory.updateSlot(36 + place, item)
  })
  player.heldItemSlot = 0
}
