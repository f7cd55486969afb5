// Page side of the view: prismarine-viewer's picture at one moment, with the screen's own parts drawn over it.
//
// prismarine-viewer's page (index.js, loaded after this file) draws whenever the browser would show a picture, with a
// camera that glides. Here it draws when it is asked to, once for each picture that is sent, with the camera where the
// player's eyes are in that tick. It says so through the globals that it uses: requestAnimationFrame, THREE, Worker.
'use strict'

const screenOf = { width: 640, height: 360 }
/** Minecraft's vertical field of view, in degrees. */
const FIELD_OF_VIEW = 70
const JPEG_QUALITY = 0.9
/** Pixels drawn for one of the picture, along each axis: textures flicker without. */
const OVERSAMPLING = Number(new URLSearchParams(location.search).get('oversampling') || 1)
const out = {
  width: Number(new URLSearchParams(location.search).get('width') || screenOf.width),
  height: Number(new URLSearchParams(location.search).get('height') || screenOf.height)
}

let draw = null
let eyes = null
let target = null
let glCanvas = null
const picture = document.createElement('canvas')
Object.assign(picture, out)
const context = picture.getContext('2d', { alpha: false, willReadFrequently: true })

window.requestAnimationFrame = callback => { draw = callback; return 0 }
window.alert = text => console.error(text)

/** prismarine-viewer starts four workers of 60 MB each; one does the work of all. */
const RealWorker = window.Worker
let worker = null
let facades = 0
/** When each column's shape last changed, by "x,z". */
const changedAt = new Map()
const QUIET_MS = 300
/** Sections with changed blocks whose new shape has not come, by "x,y,z". */
const waiting = new Set()
const NEAR = 24
const SHAPE_MS = 250
let onShaped = null
const sixteenth = number => Math.floor(number / 16) * 16

window.Worker = class {
  constructor () {
    worker ??= new RealWorker('worker_start.js')
    this.first = facades++ === 0
  }

  set onmessage (handler) {
    worker.onmessage = message => {
      handler(message)
      const { type, key } = message.data
      if (type === 'geometry') changedAt.set(key.replace(/,[^,]*,/, ','), performance.now())
      if (type !== 'sectionFinished') return
      waiting.delete(key)
      if (isShaped()) onShaped?.()
    }
  }

  postMessage (message, transfer) {
    const { type, x, y, z } = message
    if (type === 'blockStates') message = { ...message, json: withEntityModels(message.json) }
    if (type === 'unloadChunk') changedAt.delete(`${x},${z}`)
    if (type !== 'dirty') this.isBlockChange = type === 'blockUpdate' // and not a column that came, far away
    if (type === 'dirty' && this.isBlockChange && changedAt.has(`${sixteenth(x)},${sixteenth(z)}`)) {
      waiting.add([x, y, z].map(sixteenth).join())
    }
    if (this.first || type === 'dirty') worker.postMessage(message, transfer)
  }
}

/** Whether the sections near the eyes have the shape of their blocks. */
function isShaped () {
  return [...waiting].every(key => {
    const [x, , z] = key.split(',').map(Number)
    return Math.max(Math.abs(x + 8 - eyes.x), Math.abs(z + 8 - eyes.z)) > NEAR
  })
}

/** Wait until they do, not for ever. */
async function shape () {
  if (isShaped()) return
  await new Promise(resolve => {
    onShaped = resolve
    setTimeout(resolve, SHAPE_MS)
  })
  onShaped = null
}

/** Whether the columns around x, z, `chunks` to each side, are drawn and stay as they are, and the pictures of items. */
window.isDrawn = (x, z, chunks) => {
  for (let dx = -chunks; dx <= chunks; dx++) {
    for (let dz = -chunks; dz <= chunks; dz++) {
      const changed = changedAt.get(`${sixteenth(x) + 16 * dx},${sixteenth(z) + 16 * dz}`)
      if (!(performance.now() - changed > QUIET_MS)) return false
    }
  }
  return hasPictures()
}

Object.defineProperty(window, 'THREE', {
  configurable: true,
  set (three) {
    Object.defineProperty(window, 'THREE', { value: withOwnCamera(three) })
  }
})

/** THREE, whose renderer draws from the player's eyes. */
function withOwnCamera (three) {
  const Renderer = three.WebGLRenderer
  const ownRenderer = function (options) {
    const renderer = new Renderer({ ...options, preserveDrawingBuffer: true, antialias: false })
    glCanvas = renderer.domElement
    const render = renderer.render.bind(renderer)
    renderer.setPixelRatio = () => {}
    const setSize = renderer.setSize.bind(renderer)
    renderer.setSize = () => setSize(out.width * OVERSAMPLING, out.height * OVERSAMPLING)
    renderer.render = (scene, camera) => {
      if (!eyes) return
      camera.fov = FIELD_OF_VIEW
      camera.aspect = screenOf.width / screenOf.height // a picture of other proportions is stretched
      camera.updateProjectionMatrix()
      camera.position.set(eyes.x, eyes.y, eyes.z)
      camera.rotation.set(eyes.pitch, eyes.yaw, 0, 'ZYX')
      showTarget(three, scene)
      render(scene, camera)
    }
    return renderer
  }
  return Object.create(three, { WebGLRenderer: { value: ownRenderer } })
}

let outline = null
let cracks = null

/** The block that is aimed at, outlined in black, and the cracks of one that is dug. */
function showTarget (three, scene) {
  if (!outline) {
    const box = new three.BoxGeometry(1.004, 1.004, 1.004)
    outline = new three.LineSegments(
      new three.EdgesGeometry(box),
      new three.LineBasicMaterial({ color: 0, transparent: true, opacity: 0.6 })
    )
    const material = new three.MeshBasicMaterial({ transparent: true, depthWrite: false, polygonOffset: true, polygonOffsetFactor: -1 })
    cracks = new three.Mesh(new three.BoxGeometry(1.003, 1.003, 1.003), material)
    scene.add(outline, cracks)
  }
  outline.visible = Boolean(target)
  cracks.visible = Boolean(target && target.progress > 0)
  if (!target) return
  for (const mesh of [outline, cracks]) mesh.position.set(target.x + 0.5, target.y + 0.5, target.z + 0.5)
  if (cracks.visible) {
    const stage = Math.min(9, Math.floor(target.progress * 10))
    crackTextures[stage] ??= new three.CanvasTexture(drawCracks(stage))
    if (cracks.material.map !== crackTextures[stage]) {
      crackTextures[stage].magFilter = three.NearestFilter
      cracks.material.map = crackTextures[stage]
      cracks.material.needsUpdate = true
    }
  }
}
const crackTextures = []

/** Draw one picture of `moment` {eyes, target, hud}; returns it as base64 of a JPEG. */
window.capture = async moment => {
  eyes = moment.eyes
  await shape()
  target = moment.target
  draw?.()
  context.setTransform(1, 0, 0, 1, 0, 0)
  context.imageSmoothingEnabled = true
  context.drawImage(glCanvas, 0, 0, out.width, out.height)
  context.setTransform(out.width / screenOf.width, 0, 0, out.height / screenOf.height, 0, 0)
  drawHud(context, screenOf, moment.hud)
  const url = picture.toDataURL('image/jpeg', JPEG_QUALITY)
  return url.slice(url.indexOf(',') + 1)
}
