// Partners of a player: who hears what it sees and does, over the wire or not at all.
import { connect, record } from '../../sdk/js/dist/index.js'

const MAX_STATE_BYTES = 16000
const POLL_MS = 2

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
    /** Steps with an action of the model's, and those at which it is the answer to their own picture. */
    this.answers = 0
    this.prompt = 0
  }

  begin (instruction) {
    this.client.instruct(instruction)
    this.executed = null
  }

  observe (jpeg, state) {
    const executed = this.executed ? { executed: this.executed } : {}
    this.number = this.client.send(picture(jpeg), { ...executed, state: bounded(state) })
  }

  /** Wait until the answer to the newest picture is there, and not beyond `end` (performance.now()). */
  async answer (end) {
    while (this.client.currentAct({ step: this.number })?.observation !== this.number && performance.now() < end) {
      await new Promise(resolve => setTimeout(resolve, POLL_MS))
    }
  }

  /** What to do at this step: what is due, or nothing. */
  act () {
    const act = this.client.currentAct({ step: this.number })
    if (act) this.answers++
    if (act?.observation === this.number) this.prompt++
    return this.client.action({ step: this.number })
  }

  did (jpeg, executed) {
    this.executed = executed
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

  /** Nobody decides here but the program that plays. */
  act () {
    return {}
  }

  /** `label` is what was right, `executed` what was done. */
  async did (jpeg, executed, label) {
    const values = label === executed ? {} : { executed }
    await this.client.step(picture(jpeg), label, { state: this.state, ...values })
  }

  async end ({ success, task, truncated }) {
    const { episode, steps, dropped } = await this.client.end({ success, task, truncated })
    return { capture: episode, recorded: steps, lost: dropped }
  }

  close () {
    return this.client.close()
  }
}

/** A model that plays while a server records it beside what a program would have done (DAgger). */
export class RecordedAgent {
  constructor (agent, recorder) {
    this.agent = agent
    this.recorder = recorder
  }

  begin (instruction) {
    this.agent.begin(instruction)
    this.recorder.begin(instruction)
  }

  observe (jpeg, state) {
    this.agent.observe(jpeg, state)
    this.recorder.observe(jpeg, state)
  }

  answer (end) {
    return this.agent.answer(end)
  }

  act () {
    return this.agent.act()
  }

  async did (jpeg, executed, label) {
    this.agent.did(jpeg, executed)
    await this.recorder.did(jpeg, executed, label)
  }

  async end (ending) {
    this.agent.end(ending)
    return await this.recorder.end(ending)
  }

  async close () {
    await Promise.all([this.agent.close(), this.recorder.close()])
  }
}

/** Nobody: a program plays for itself. */
export class Nobody {
  begin () {}
  observe () {}
  act () { return {} }
  did () {}
  end () {}
  close () {}
}
