// Partners of a player: who hears what it sees and does, over the wire or not at all.
import { connect, record } from '../../sdk/js/dist/index.js'

const MAX_STATE_BYTES = 16000

/** A state that fits into the JSON of a picture: without the rare things where it is too long. */
export function bounded (state) {
  if (Buffer.byteLength(JSON.stringify(state)) <= MAX_STATE_BYTES) return state
  const { inventory, chat, ...rest } = state
  return rest
}

function picture (jpeg) {
  return { codec: 'jpeg', data: jpeg }
}

/** The model behind a server: it gets each picture, and says what to do. */
export class Agent {
  static async attach (url, options) {
    return new Agent(await connect(url, { ...options, mode: 'realtime' }))
  }

  constructor (client) {
    this.client = client
    this.executed = null
    this.answers = 0
  }

  begin (instruction) {
    this.client.instruct(instruction)
    this.executed = null
  }

  observe (jpeg, state) {
    const executed = this.executed ? { executed: this.executed } : {}
    this.number = this.client.send(picture(jpeg), { ...executed, state: bounded(state) })
  }

  /** What to do at this step: what is due, or nothing. */
  act () {
    const act = this.client.currentAct({ step: this.number })
    if (act) this.answers++
    return this.client.action({ step: this.number })
  }

  did (jpeg, action) {
    this.executed = action
  }

  end ({ success, task, truncated }) {
    this.client.event({ terminated: !truncated, truncated, success, task, executed: this.executed })
    this.executed = null
  }

  close () {
    return this.client.close()
  }
}

/** A server that records what a program plays here. */
export class Recorder {
  static async attach (url, options) {
    return new Recorder(await record(url, { ...options, mode: 'realtime' }))
  }

  constructor (client) {
    this.client = client
  }

  begin (instruction) {
    this.client.instruct(instruction)
  }

  observe (jpeg, state) {
    this.state = bounded(state)
  }

  async did (jpeg, action) {
    await this.client.step(picture(jpeg), action, { state: this.state })
  }

  async end ({ success, task, truncated }) {
    const { episode, steps, dropped } = await this.client.end({ success, task, truncated })
    return { capture: episode, recorded: steps, lost: dropped }
  }

  close () {
    return this.client.close()
  }
}

/** Nobody: a program plays for itself. */
export class Nobody {
  begin () {}
  observe () {}
  did () {}
  end () {}
  close () {}
}
