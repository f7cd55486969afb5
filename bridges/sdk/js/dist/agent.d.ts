/** Client agent: what one agent of a game has sent and got, and what it is to do now. Times are milliseconds. */
import { AnswerError } from "./errors.js";
import type { Act, Owner } from "./messages.js";
/** One of a session's agents; `ownInstruction` and `owner` are what the hello says. */
export declare class ClientAgent {
    ownInstruction: string;
    owner: Owner;
    /** What a console asks for instead, until it is released. */
    consoleInstruction: string | null;
    /** Number of the newest observation. */
    number: number;
    /** Observations for whose answer somebody waits, and their answers. */
    private awaited;
    private sentAt;
    private act;
    private receivedAt;
    private frameSentAt;
    /** Number of the newest observation whose answer is worth nothing any more. */
    private outdated;
    constructor(ownInstruction: string, owner: Owner);
    /** What counts now: a console's instruction, else the game's. */
    get instruction(): string;
    /** Observations without an answer for which somebody waits. */
    get inFlight(): number;
    /** Count an observation that is sent now. */
    observe(now: number, awaited: boolean): void;
    /** No action is valid any more. */
    release(): void;
    /** Answers to the observations until now are worth nothing any more. */
    endEpisode(): void;
    /** In realtime no observation until now is answered any more. */
    losePast(): void;
    /** The answer to an observation came. */
    answer(act: Act, now: number): void;
    /** An observation has no answer. */
    fail(number: number, problem: AnswerError): void;
    private settle;
    /** The answer to an awaited observation, once; null where it has not come. */
    takeAct(number: number): Act | AnswerError | null;
    /** Nobody waits for this answer any more. */
    forgetAct(number: number): void;
    /** The action due now; null where there is none, its time has passed or the connection is lost. */
    actionDue(now: number, step?: number): Act | null;
}
/**
 * What is due `steps` whole steps after an answer's picture; the last planned action is held. Probability, alternatives
 * and entropy stay those of the first action.
 */
export declare function atStep(act: Act, steps: number): Act;
