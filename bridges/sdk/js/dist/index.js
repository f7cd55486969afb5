/** IAFM bridge: attach a game, in a browser or in Node, to a player over `iafm.bridge.v1`. */
export { websocketUrl } from "./address.js";
export { connect, GameClient } from "./client.js";
export { AnswerError, BridgeError, DisconnectedError } from "./errors.js";
export { CODECS, packFrame, unpackFrame } from "./frames.js";
export { Keyboard } from "./keyboard.js";
export { Mouse } from "./mouse.js";
export { decode, encode } from "./message_text.js";
export { jpegPicture, pngPicture, rawPicture } from "./pictures.js";
export { record, RecordClient } from "./record_client.js";
export { isAtRest, nullAction } from "./spec.js";
