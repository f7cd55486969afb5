/** Client agent: what one agent of a game has sent and got, and what it is to do now. Times are milliseconds. */

import { AnswerError } from "./errors.js";
import type { Act, Owner } from "./messages.js";

/** One of a session's agents; `ownInstruction` and `owner` are what the hello says. */
export class ClientAgent {
  /** What a console asks for instead, until it is released. */
  consoleInstruction: string | null = null;
  /** Number of the newest observation. */
  number = 0;
  /** Observations for whose answer somebody waits, and their answers. */
  private awaited = new Map<number, Act | AnswerError | null>();
  private sentAt = new Map<number, number>();
  private act: Act | null = null;
  private receivedAt = 0;
  private frameSentAt = 0;
  /** Number of the newest observation whose answer is worth nothing any more. */
  private outdated = 0;

  constructor(public ownInstruction: string, public owner: Owner) {}

  /** What counts now: a console's instruction, else the game's. */
  get instruction(): string {
    return this.consoleInstruction ?? this.ownInstruction;
  }

  /** Observations without an answer for which somebody waits. */
  get inFlight(): number {
    return [...this.awaited.values()].filter((answer) => answer === null).length;
  }

  /** Count an observation that is sent now. */
  observe(now: number, awaited: boolean): void {
    this.number += 1;
    this.sentAt.set(this.number, now);
    if (awaited) this.awaited.set(this.number, null);
  }

  /** No action is valid any more. */
  release(): void {
    this.act = null;
  }

  /** Answers to the observations until now are worth nothing any more. */
  endEpisode(): void {
    this.act = null;
    this.outdated = this.number;
  }

  /** In realtime no observation until now is answered any more. */
  losePast(): void {
    this.outdated = this.number;
    this.sentAt.clear();
    const lost = new AnswerError("the connection was lost before the answer came", "connection_lost");
    for (const [number, answer] of this.awaited) this.awaited.set(number, answer ?? lost);
  }

  /** The answer to an observation came. */
  answer(act: Act, now: number): void {
    this.settle(act.observation, act);
    if (act.observation <= this.outdated) return;
    this.act = act;
    this.receivedAt = now;
    this.frameSentAt = this.sentAt.get(act.observation) ?? now;
    for (const number of this.sentAt.keys()) if (number <= act.observation) this.sentAt.delete(number);
  }

  /** An observation has no answer. */
  fail(number: number, problem: AnswerError): void {
    this.settle(number, problem);
  }

  private settle(number: number, answer: Act | AnswerError): void {
    if (this.awaited.has(number)) this.awaited.set(number, answer);
  }

  /** The answer to an awaited observation, once; null where it has not come. */
  takeAct(number: number): Act | AnswerError | null {
    const answer = this.awaited.get(number) ?? null;
    if (answer !== null) this.awaited.delete(number);
    return answer;
  }

  /** Nobody waits for this answer any more. */
  forgetAct(number: number): void {
    this.awaited.delete(number);
  }

  /** The action due now; null where there is none, its time has passed or the connection is lost. */
  actionDue(now: number, step?: number): Act | null {
    const act = this.act;
    if (act === null || now - this.receivedAt > act.valid_ms) return null;
    if (step !== undefined) return atStep(act, step - act.observation);
    return atStep(act, act.step_ms > 0 ? Math.floor((now - this.frameSentAt) / act.step_ms) : 0);
  }
}

/**
 * What is due `steps` whole steps after an answer's picture; the last planned action is held. Probability, alternatives
 * and entropy stay those of the first action.
 */
export function atStep(act: Act, steps: number): Act {
  if (steps < 1 || act.later.length === 0) return act;
  const [due, ...later] = act.later.slice(Math.min(steps, act.later.length) - 1);
  return { ...act, action: due!.action, words: due!.words, later };
}
