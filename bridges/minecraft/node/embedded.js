// The embedded server: flying-squid with our terrain, for one player, in a process of its own.
//
// Started by `fork`. It says {listening: port}, and answers {reset, seed, items} with {spawn}. It ends with its parent.
import { Failure, plain } from './report.js'
import { packagesIn } from './packages.js'
import { REGION, groundAt, terrain } from './terrain.js'

const VERSION = '1.16.4'
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
squid.generations.iafm = terrain(Vec3, registry => new (chunkClass(registry))())

const server = squid.createMCServer({
  motd: 'iafm',
  host: '127.0.0.1',
  port: 0,
  'max-players': 4,
  'online-mode': false,
  logging: false,
  gameMode: 0,
  difficulty: 0,
  generation: { name: 'iafm', options: { seed: Number(firstSeed) || 1 } },
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
server.on('newPlayer', player => player.on('dug', ({ block }) => process.send({ dug: block.name })))
process.on('message', message => {
  if (message.reset) reset(message).catch(error => process.send({ failed: plain(error.message) }))
})

/** Put the player into another seed's world, at its spawn, with nothing but `items` ({name, count} by slot). */
async function reset ({ seed, items, name }) {
  const player = server.players.find(player => player.username === name)
  if (!player) throw new Failure(`no player called ${name}`)
  while (player.sendingChunks !== false) await new Promise(resolve => setTimeout(resolve, 10)) // it still logs in
  const region = seed - Number(firstSeed)
  const spawn = new Vec3(region * REGION + 0.5, groundAt(seed, 0, 0) + 1, 0.5)
  fill(player, items)
  player.position = spawn
  player.knownPosition = spawn
  player.lastPositionChunkUpdated = spawn
  player.sendSelfPosition()
  await player.worldSendRestOfChunks()
  process.send({ spawn: { x: spawn.x, y: spawn.y, z: spawn.z } })
}

function fill (player, items) {
  const Item = squidRequire('prismarine-item')(server.registry)
  for (let slot = 0; slot < player.inventory.slots.length; slot++) {
    if (player.inventory.slots[slot]) player.inventory.updateSlot(slot, null)
  }
  items.forEach(({ name, count }, place) => {
    const item = new Item(server.registry.itemsByName[name].id, count)
    player.inventory.updateSlot(36 + place, item)
  })
  player.heldItemSlot = 0
}
