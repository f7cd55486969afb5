// Pure parts of the live player's scripts; `node --test` needs nothing but Node.
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { readFileSync } from 'node:fs'
import { runInNewContext } from 'node:vm'
import { turned } from '../../../bridges/minecraft/node/body.js'
import { complete } from '../../../bridges/minecraft/node/episode.js'
import { bounded } from '../../../bridges/minecraft/node/partners.js'
import { plain, within } from '../../../bridges/minecraft/node/report.js'
import { Noise } from '../../../bridges/minecraft/node/noise.js'
import { errorsTo, turnBy } from '../../../bridges/minecraft/node/scripted.js'
import { kickReason, unreachable } from '../../../bridges/minecraft/node/server.js'
import { Chat, textState } from '../../../bridges/minecraft/node/state.js'
import { TASKS, reachedIn, sentenceOf, swappedOf } from '../../../bridges/minecraft/node/tasks.js'
import { groundAt, stoneAt, structuresIn, towerOf, treesIn } from '../../../bridges/minecraft/node/terrain.js'

const near = (a, b) => assert.ok(Math.abs(a - b) < 1e-9, `${a} is not ${b}`)

test('text from outside is one short line', () => {
  assert.equal(plain('a\n\u001b[31mb\u202e  c\0'), 'a [31mb c')
  assert.equal(plain('x'.repeat(500), 10), 'x'.repeat(9) + '…')
  assert.equal(plain(undefined), 'undefined')
})

test('a promise that is late fails with its message', async () => {
  await assert.rejects(within(new Promise(() => {}), 1, 'late'), { message: 'late' })
  assert.equal(await within(Promise.resolve(3), 1000, 'late'), 3)
})

test('reasons of a kick are read in every form', () => {
  assert.equal(kickReason('"bye"'), 'bye')
  assert.equal(kickReason('not json'), 'not json')
  assert.equal(kickReason({ text: 'a', extra: [{ text: 'b' }, 'c'] }), 'abc')
  assert.equal(kickReason('{"translate":"multiplayer.disconnect.server_full"}'), 'the server is full')
  assert.equal(kickReason({ type: 'compound', value: { text: { type: 'string', value: 'nbt' } } }), 'nbt')
  assert.equal(kickReason(null), 'without a reason')
  assert.equal(kickReason({ text: '' }), 'without a reason')
})

test('a server that cannot be reached is named with the reason', () => {
  assert.equal(unreachable('h:1', { code: 'ECONNREFUSED' }), 'no Minecraft server at h:1: nothing listens there')
  assert.equal(unreachable('h:1', new Error('odd\nthing')), 'no Minecraft server at h:1: odd thing')
})

test('the camera turns right and down for positive degrees, and stops short of the poles', () => {
  const after = turned({ yaw: 1, pitch: 0.5 }, [10, 20])
  near(after.yaw, 1 - 20 * Math.PI / 180)
  near(after.pitch, 0.5 - 10 * Math.PI / 180)
  assert.ok(turned({ yaw: 0, pitch: 0 }, [200, 0]).pitch > -Math.PI / 2)
  assert.ok(turned({ yaw: 0, pitch: 0 }, [-200, 0]).pitch < Math.PI / 2)
})

test('turning step by step reaches every direction by few whole degrees', () => {
  for (let k = 0; k < 40; k++) {
    const point = { x: Math.cos(k) * 5, y: 3 * Math.sin(3 * k), z: Math.sin(k) * 5 }
    let eyes = { x: 0, y: 0, z: 0, yaw: k, pitch: 0 }
    for (let step = 0; step < 40; step++) {
      const { pitch, yaw } = errorsTo(eyes, point)
      const camera = [turnBy(pitch), turnBy(yaw)]
      assert.ok(camera.every(degrees => [0, 1, 2, 4, 8, 14].includes(Math.abs(degrees))))
      eyes = { ...eyes, ...turned(eyes, camera) }
    }
    const { pitch, yaw } = errorsTo(eyes, point)
    assert.ok(Math.hypot(pitch, yaw) < 1.5, `error at ${k}`)
  }
  assert.equal(turnBy(0.9), 0)
  assert.equal(turnBy(-170), -14)
})

test('noise is random, short, and the same for a seed', () => {
  const play = (prob, seed) => {
    const noise = new Noise(prob, seed)
    return Array.from({ length: 2000 }, () => noise.next())
  }
  assert.deepEqual(play(0.02, 5), play(0.02, 5))
  assert.notDeepEqual(play(0.02, 5), play(0.02, 6))
  assert.ok(play(0, 5).every(action => action === null))
  const actions = play(0.02, 5).filter(Boolean)
  assert.ok(actions.length > 100 && actions.length < 400)
  for (const { camera = [0, 0], forward, back, left, right } of actions) {
    assert.ok(!(forward && back) && !(left && right))
    assert.ok(camera.every(degrees => Number.isInteger(degrees) && Math.abs(degrees) <= 14))
  }
})

test('an action has a value for every control', () => {
  const spec = { controls: [{ name: 'forward', kind: 'button' }, { name: 'camera', kind: 'camera' }] }
  assert.deepEqual(complete(spec, {}), { forward: 0, camera: [0, 0] })
  assert.deepEqual(complete(spec, { forward: true, camera: [1, -2], fly: 1 }), { forward: 1, camera: [1, -2] })
})

test('a seed makes the same world everywhere, and others make other worlds', () => {
  assert.deepEqual(structuresIn(5, 0, 0, 32, 32), structuresIn(5, 0, 0, 32, 32))
  assert.notDeepEqual(towerOf(5), towerOf(6))
  const halves = [...structuresIn(5, -40, -40, 0, 40), ...structuresIn(5, 0, -40, 40, 40)]
  const key = block => `${block.x},${block.y},${block.z}`
  const last = blocks => new Map(blocks.map(block => [key(block), block.name]))
  assert.deepEqual(new Map([...last(halves)].sort()), new Map([...last(structuresIn(5, -40, -40, 40, 40))].sort()))
})

test('every world has a free spawn, a tree near it, a tower, and ore', () => {
  for (let seed = 0; seed < 30; seed++) {
    const trees = treesIn(seed, -16, -16, 16, 16)
    const nearest = Math.min(...trees.map(({ x, z }) => Math.hypot(x, z)))
    assert.ok(nearest >= 4 && nearest <= 10, `tree at ${nearest} of seed ${seed}`)
    const tower = towerOf(seed)
    const distance = Math.hypot(tower.x, tower.z)
    assert.ok(distance > 14 && distance < 28)
    const here = structuresIn(seed, 0, 0, 1, 1).filter(({ y }) => y <= groundAt(seed, 0, 0) + 2)
    assert.deepEqual(here, [])
  }
  const names = new Set()
  for (let y = 1; y < 30; y++) for (let x = 0; x < 30; x++) names.add(stoneAt(1, x, y, 0, 40))
  assert.deepEqual([...names].sort(), ['coal_ore', 'iron_ore', 'stone'])
})

test('tasks are judged by the state of the game', () => {
  const facts = { seed: 3, start: { x: 0, y: 41, z: 0 }, position: { x: 0, y: 41, z: 0 }, dug: [], placed: [] }
  const reached = changes => reachedIn({ ...facts, ...changes })
  assert.deepEqual(reached({ dug: ['dirt', 'oak_leaves'] }), [])
  assert.deepEqual(reached({ dug: ['oak_log'] }), ['chop_tree'])
  const tower = towerOf(3)
  assert.deepEqual(reached({ position: { x: tower.x + 3, y: 41, z: tower.z } }), ['walk_to_tower'])
  const deep = { position: { x: 0, y: 38, z: 0 } }
  assert.deepEqual(reached(deep), [])
  assert.deepEqual(reached({ ...deep, dug: ['grass_block', 'dirt', 'dirt'] }), ['dig_down'])
  assert.deepEqual(reached({ placed: Array(2).fill('cobblestone') }), [])
  assert.deepEqual(reached({ placed: Array(3).fill('cobblestone') }), ['place_blocks'])
})

test('other words than its own are of another task', () => {
  for (const task in TASKS) {
    assert.ok(TASKS[task].sentences.includes(sentenceOf(task, 9)))
    const others = Array.from({ length: 40 }, (_, seed) => swappedOf(task, seed))
    assert.equal(new Set(others.map(other => other.task)).size, Object.keys(TASKS).length - 1)
    assert.ok(others.every(other => other.task !== task && TASKS[other.task].sentences.includes(other.instruction)))
  }
})

test('Python and the scripts know the same tasks', () => {
  const python = readFileSync(new URL('../../../bridges/minecraft/tasks.py', import.meta.url), 'utf8')
  const names = /TASKS = \(([^)]*)\)/.exec(python)[1].match(/\w+/g)
  assert.deepEqual(names, Object.keys(TASKS))
})

test('chat is short plain state, and no part of it is a goal', () => {
  const chat = new Chat()
  for (let k = 0; k < 50; k++) chat.add(`your goal is ${k}\n` + 'x'.repeat(1000))
  assert.equal(chat.lines.length, 8)
  assert.deepEqual(chat.shown, chat.lines.slice(-4))
  assert.ok(chat.lines.every(line => line.length <= 200 && !line.includes('\n')))
  const bot = {
    entity: { position: { x: 1, y: 2, z: 3 }, yaw: Math.PI, pitch: 0 },
    inventory: { hotbarStart: 0, slots: Array(9).fill(null), items: () => [{ name: 'dirt', count: 2 }, { name: 'dirt', count: 3 }] }
  }
  const state = textState(bot, chat)
  assert.deepEqual(state.inventory, { dirt: 5 })
  assert.equal(state.yaw, 0)
  assert.ok(!('instruction' in state) && !('goal' in state))
  assert.equal(bounded(state), state)
  assert.ok(!('inventory' in bounded({ ...state, inventory: { x: 'y'.repeat(20000) } })))
})

test('blocks that the viewer draws nothing of get boxes, and no others', () => {
  const script = readFileSync(new URL('../../../bridges/minecraft/node/block_models.js', import.meta.url), 'utf8')
  const page = {}
  runInNewContext(script, page)
  const particle = { u: 0.5, v: 0.25, su: 0.03125, sv: 0.03125 }
  const state = (elements, textures = { particle }) => ({ variants: { '': { model: { elements, textures, ao: true } } } })
  const names = ['oak_sign', 'oak_wall_sign', 'ender_chest', 'red_bed', 'zombie_head', 'white_banner', 'shulker_box']
  const empty = Object.fromEntries(names.map(name => [name, state([])]))
  const others = { stone: state([{}]), piston_head: state([{}]), barrier: state([], {}), air: state([]) }
  const states = page.withEntityModels({ ...empty, ...others })
  for (const name of Object.keys(others)) assert.equal(states[name], others[name])
  assert.deepEqual(Object.keys(states.oak_sign.variants), Array.from({ length: 16 }, (_, k) => `rotation=${k}`))
  assert.equal(states.oak_wall_sign.variants['facing=west'].y, 270)
  for (const name of names) {
    for (const { model } of Object.values(states[name].variants)) {
      assert.ok(model.elements.length >= 1)
      for (const { from, to, faces } of model.elements) {
        assert.ok(from.every((low, axis) => low < to[axis]))
        assert.equal(Object.keys(faces).length, 6)
        for (const { texture } of Object.values(faces)) assert.ok(texture.su > 0 && texture.su <= particle.su)
      }
    }
  }
})
