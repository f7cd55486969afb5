/** Message text: messages as strict JSON, checked both ways. */
import type { ErrorMessage, FromClient, FromServer, StepReport } from "./messages.js";
/** Bytes of a text message. */
export declare const MAX_TEXT: number;
/** A message, or a picture's JSON, as text; throws `BridgeError` for what is no strict JSON, or too long. */
export declare function encode(message: FromClient | StepReport, maxBytes?: number): string;
/** Throws `BridgeError` where a text has too many characters, or too few. */
export declare function checkWords(name: string, text: string, least: number, most?: number): void;
/** A message from the server with the number that it may carry (`seq`, else null). */
export interface Received {
    /** Null for a type that this version does not know. */
    readonly message: FromServer | null;
    readonly seq: number | null;
}
/** Read a server's message; throws `BridgeError` where it is none. */
export declare function decode(text: string): Received;
/** A server's error in one line, with its way out. */
export declare function withHint(error: ErrorMessage): string;
