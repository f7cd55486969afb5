/** Client recording: credit of a recording, and the episode as the game sent it, to compare; without sockets. */
import type { Credit, RecordState } from "./messages.js";
/** What a recording may send, what it sent of the episode under way, and what became of those that ended. */
export declare class ClientRecording {
    credit: Credit;
    /** Whether the session was lost that heard of an episode's end: nobody says what became of it. */
    endIsLost: boolean;
    private digest;
    private states;
    /** Bytes of all messages with pictures. */
    private size;
    private isEnding;
    /** Whether there is credit for a picture of this number, in a message of `size` bytes. */
    maySend(number: number, size: number): boolean;
    /** A picture was sent. */
    add(message: Uint8Array): void;
    /** The end of the episode was sent. */
    end(): void;
    applyState(state: RecordState): void;
    /** Another session gets the pictures that are not recorded, and the episode's end where that is not known. */
    beginAnew(pictures: readonly Uint8Array[], sendsEnd: boolean): void;
    /** The oldest ended episode, and how it differs from what was sent; null where none ended. */
    takeState(): {
        state: RecordState;
        difference: string;
    } | null;
}
