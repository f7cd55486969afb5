/** IAFM bridge: attach a game, in a browser or in Node, to a player over `iafm.bridge.v1`. */

export { websocketUrl } from "./address.js";
export type { Backoff } from "./backoff.js";
export { connect, GameClient } from "./client.js";
export type { AttachOptions, ConnectOptions, ObserveOptions, OfAgent } from "./client.js";
export type { ClockDifference } from "./clock.js";
export type { ConnectionState } from "./connection.js";
export { AnswerError, BridgeError, DisconnectedError } from "./errors.js";
export { CODECS, packFrame, unpackFrame } from "./frames.js";
export type { Codec, Frame, FrameFields, Picture } from "./frames.js";
export { Keyboard } from "./keyboard.js";
export type { KeyBindings } from "./keyboard.js";
export type { InputTarget } from "./held_buttons.js";
export { Mouse } from "./mouse.js";
export type { MouseBindings } from "./mouse.js";
export { decode, encode } from "./message_text.js";
export type { Received } from "./message_text.js";
export type * from "./messages.js";
export { jpegPicture, pngPicture, rawPicture } from "./pictures.js";
export type { Drawable, JpegOptions, PictureSource, RgbaImage } from "./pictures.js";
export { record, RecordClient } from "./record_client.js";
export type { RecordEnd, RecordStep } from "./record_client.js";
export type { Socket, SocketClass } from "./socket.js";
export { isAtRest, nullAction } from "./spec.js";
export type * from "./spec.js";
