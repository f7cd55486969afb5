// Minecraft's screen over the world, drawn here: crosshair, hotbar, hearts, food, chat, and the player's hand.
//
// Coordinates are of a 640 x 360 screen, on which Minecraft's interface has a scale of 1. Pictures of items are those
// of the viewer's own textures, which npm brought; nothing of them is in this folder.
'use strict'

const SLOT = 20
const itemPictures = new Map()

let overlay = null
let overlayKey = ''

/**
 * Draw the interface: hud = {slots: [{name, count}|null × 9], selected, health, food, chat: [text], swing, version}.
 *
 * Hundreds of small shapes take longer than the world itself, so all but the hand is drawn anew only where it changed.
 */
function drawHud (context, screen, hud) {
  context.imageSmoothingEnabled = false
  drawHand(context, screen, hud)
  const { swing, ...shown } = hud
  const key = JSON.stringify(shown)
  if (!overlay) {
    overlay = document.createElement('canvas')
    Object.assign(overlay, { width: context.canvas.width, height: context.canvas.height })
  }
  if (key !== overlayKey) {
    overlayKey = key
    drawOverlay(overlay.getContext('2d', { willReadFrequently: true }), screen, shown)
  }
  context.setTransform(1, 0, 0, 1, 0, 0)
  context.drawImage(overlay, 0, 0)
}

function drawOverlay (context, screen, hud) {
  const { width, height } = context.canvas
  context.setTransform(1, 0, 0, 1, 0, 0)
  context.clearRect(0, 0, width, height)
  context.setTransform(width / screen.width, 0, 0, height / screen.height, 0, 0)
  context.imageSmoothingEnabled = false
  const left = screen.width / 2 - 91
  const top = screen.height - 22
  drawCrosshair(context, screen)
  drawHotbar(context, left, top, hud)
  drawHearts(context, left, top - 17, hud.health)
  drawFood(context, left + 182, top - 17, hud.food)
  drawChat(context, screen, hud.chat)
}

function drawCrosshair (context, { width, height }) {
  context.fillStyle = 'rgba(235, 235, 235, 0.85)'
  context.fillRect(width / 2 - 4.5, height / 2 - 0.5, 9, 1)
  context.fillRect(width / 2 - 0.5, height / 2 - 4.5, 1, 9)
}

function drawHotbar (context, left, top, hud) {
  context.fillStyle = 'rgba(20, 20, 20, 0.55)'
  context.fillRect(left, top, 182, 22)
  context.strokeStyle = 'rgba(130, 130, 130, 0.9)'
  context.lineWidth = 1
  for (let k = 0; k < 9; k++) context.strokeRect(left + 1.5 + k * SLOT, top + 1.5, 19, 19)
  hud.slots.forEach((item, k) => item && drawItem(context, item, left + 3 + k * SLOT, top + 3, hud.version))
  context.strokeStyle = '#f4f4f4'
  context.lineWidth = 2
  context.strokeRect(left + hud.selected * SLOT, top, 22, 22)
}

function drawItem (context, item, x, y, version) {
  drawPicture(context, item.name, x, y, 16, version)
  if (item.count < 2) return
  context.font = 'bold 9px sans-serif'
  context.textAlign = 'right'
  context.fillStyle = '#2b2b2b'
  context.fillText(item.count, x + 18, y + 17)
  context.fillStyle = '#ffffff'
  context.fillText(item.count, x + 17, y + 16)
}

const HEART = ['.11.11.', '1221221', '1222221', '.12221.', '..121..', '...1...']

function drawPixels (context, rows, x, y, colors) {
  rows.forEach((row, dy) => [...row].forEach((cell, dx) => {
    if (cell === '.') return
    context.fillStyle = colors[cell]
    context.fillRect(x + dx, y + dy, 1, 1)
  }))
}

function drawHearts (context, left, top, health) {
  for (let k = 0; k < 10; k++) {
    const full = health >= 2 * k + 1
    drawPixels(context, HEART, left + 1 + 8 * k, top, { 1: '#1a0505', 2: full ? '#e0201b' : '#3a1a1a' })
  }
}

const DRUMSTICK = ['..111..', '.12221.', '.12221.', '.1221..', '1311...', '11.....']

function drawFood (context, right, top, food) {
  for (let k = 0; k < 10; k++) {
    const full = food >= 2 * k + 1
    const colors = { 1: '#1d1206', 2: full ? '#b5713a' : '#33261a', 3: full ? '#e8dcc8' : '#33261a' }
    drawPixels(context, DRUMSTICK, right - 8 - 8 * k, top, colors)
  }
}

function drawChat (context, { height }, lines) {
  context.font = '9px sans-serif'
  context.textAlign = 'left'
  lines.slice(-4).reverse().forEach((line, k) => {
    const y = height - 48 - 10 * k
    context.fillStyle = 'rgba(0, 0, 0, 0.4)'
    context.fillRect(2, y - 8, 260, 10)
    context.fillStyle = '#f0f0f0'
    context.fillText(line.slice(0, 56), 4, y)
  })
}

/** The hand at the lower right, an arm or what it holds; `swing` of 0 to 1 is how far it has struck. */
function drawHand (context, { width, height }, hud) {
  const strike = Math.sin(Math.PI * hud.swing)
  const held = hud.slots[hud.selected]
  context.save()
  context.translate(width * 0.80 - 60 * strike, height * 0.98 - 30 * strike + 20 * hud.swing)
  context.rotate(-0.35 * strike)
  if (held) drawPicture(context, held.name, -40, -110, 110, hud.version, true)
  else drawArm(context)
  context.restore()
}

function drawArm (context) {
  const side = (color, points) => {
    context.fillStyle = color
    context.beginPath()
    points.forEach(([x, y]) => context.lineTo(x, y))
    context.fill()
  }
  side('#c99a78', [[-34, -92], [8, -100], [70, 40], [12, 40]])
  side('#a87a5b', [[8, -100], [26, -88], [104, 40], [70, 40]])
  side('#dab08f', [[-34, -92], [-14, -104], [26, -88], [8, -100]])
}

/** An item's picture in a square: a cube for blocks, its sprite otherwise, a plain square until it is loaded. */
function drawPicture (context, name, x, y, size, version) {
  const sides = picturesOf(name, version)
  if (sides.sprite?.complete && sides.sprite.naturalWidth) {
    context.drawImage(sides.sprite, 0, 0, 16, 16, x, y, size, size)
  } else if (sides.side?.complete && sides.side.naturalWidth) {
    const top = sides.top?.naturalWidth ? sides.top : sides.side
    drawCube(context, top, sides.side, x, y, size)
  } else {
    context.fillStyle = '#8a6a4a'
    context.fillRect(x + size / 4, y + size / 4, size / 2, size / 2)
  }
}

function picturesOf (name, version) {
  if (!itemPictures.has(name)) {
    const folder = `textures/${version}`
    itemPictures.set(name, {
      sprite: load(`${folder}/items/${name}.png`),
      top: load(`${folder}/blocks/${name}_top.png`),
      side: load(`${folder}/blocks/${name}.png`, `${folder}/blocks/${name}_side.png`)
    })
  }
  return itemPictures.get(name)
}

/** Whether the pictures of all items that were drawn have come, or there are none. */
function hasPictures () {
  return [...itemPictures.values()].flatMap(sides => Object.values(sides)).every(image => image.complete)
}

function load (...addresses) {
  const image = new window.Image()
  let k = 0
  image.onload = () => { overlayKey = '' }
  image.onerror = () => { if (++k < addresses.length) image.src = addresses[k] }
  image.src = addresses[0]
  return image
}

/** Three faces of a cube as Minecraft's inventory shows it, each with its own light. */
function drawCube (context, top, side, x, y, size) {
  const s = size / 16
  const face = (image, a, b, c, d, e, f, shade) => {
    context.save()
    context.transform(a, b, c, d, e, f)
    context.drawImage(image, 0, 0, 16, 16, 0, 0, 16, 16)
    context.fillStyle = `rgba(0, 0, 0, ${shade})`
    context.fillRect(0, 0, 16, 16)
    context.restore()
  }
  context.save()
  context.translate(x, y)
  context.scale(s, s)
  const w = 7 / 16
  face(side, w, 3.5 / 16, 0, 8 / 16, 1, 4.2, 0.2)
  face(side, w, -3.5 / 16, 0, 8 / 16, 8, 7.7, 0.45)
  face(top, w, 3.5 / 16, -w, 3.5 / 16, 8, 0.7, 0)
  context.restore()
}

/** Cracks of a block that is dug, stage 0 to 9, as a picture of 16 x 16. */
function drawCracks (stage) {
  const canvas = document.createElement('canvas')
  canvas.width = canvas.height = 16
  const context = canvas.getContext('2d')
  context.fillStyle = 'rgba(10, 10, 10, 0.75)'
  let random = 7
  const next = () => (random = (random * 1103515245 + 12345) & 0x7fffffff) / 0x7fffffff
  for (let line = 0; line <= stage; line++) {
    let [x, y] = [8, 8]
    const [dx, dy] = [next() * 2 - 1, next() * 2 - 1]
    for (let step = 0; step < 10; step++) {
      context.fillRect(Math.floor(x), Math.floor(y), 1, 1)
      x += dx + next() - 0.5
      y += dy + next() - 0.5
    }
  }
  return canvas
}
