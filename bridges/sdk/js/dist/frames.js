/**
 * Binary frames: a fixed 32-byte header, optional JSON, and the picture's bytes.
 *
 *     offset  size  field (little-endian)
 *     0       4     magic "IAFM"
 *     4       1     header version, 1
 *     5       1     codec; + 128 where the rows begin at the bottom
 *     6       1     camera number, from 0
 *     7       1     agent number, from 0
 *     8       2     width in pixels
 *     10      2     height in pixels
 *     12      4     observation number
 *     16      8     sender's clock in nanoseconds
 *     24      4     bytes of JSON that follow the header
 *     28      4     bytes of picture that follow the JSON
 */
import { BridgeError } from "./errors.js";
import { imageSize } from "./image_size.js";
export const HEADER_BYTES = 32;
export const MAX_PIXELS = 1920 * 1080;
export const MAX_SIDE = 4096;
/** Bytes of a message, pictures included. */
export const MAX_MESSAGE = 4 << 20;
/** Bytes of a picture's JSON. */
export const MAX_META = 64 << 10;
const BOTTOM_UP = 0x80;
/** Formats of a picture's bytes, by their numbers in the header. */
export const CODECS = ["rgb", "rgba", "bgra", "gray", "jpeg", "png", "bgr"];
const CHANNELS = { rgb: 3, rgba: 4, bgra: 4, gray: 1, bgr: 3 };
/** A picture as a binary message; throws `BridgeError` where the server would refuse it. */
export function packFrame(picture, fields) {
    const payload = bytesOf(picture.data);
    const { width, height } = sizeOf(picture, payload);
    const meta = fields.meta ?? new Uint8Array(0);
    if (meta.length > MAX_META) {
        throw new BridgeError(`the JSON of a picture has at most ${MAX_META} bytes, got ${meta.length}`);
    }
    const size = HEADER_BYTES + meta.length + payload.length;
    if (size > MAX_MESSAGE) {
        throw new BridgeError(`a message has at most ${MAX_MESSAGE} bytes, got ${size}: send it as JPEG, or smaller`);
    }
    const message = new Uint8Array(size);
    const view = new DataView(message.buffer);
    message.set([0x49, 0x41, 0x46, 0x4d, 1, CODECS.indexOf(picture.codec) | (picture.bottomUp ? BOTTOM_UP : 0)]);
    message[6] = fields.camera ?? 0;
    message[7] = fields.agent ?? 0;
    view.setUint16(8, width, true);
    view.setUint16(10, height, true);
    view.setUint32(12, fields.number, true);
    view.setBigUint64(16, fields.tNs ?? 0n, true);
    view.setUint32(24, meta.length, true);
    view.setUint32(28, payload.length, true);
    message.set(meta, HEADER_BYTES);
    message.set(payload, HEADER_BYTES + meta.length);
    return message;
}
/** Take a binary message apart; throws `BridgeError` where it is none. */
export function unpackFrame(data) {
    const message = bytesOf(data);
    if (message.length < HEADER_BYTES) {
        throw new BridgeError(`a binary message has at least ${HEADER_BYTES} bytes, got ${message.length}`);
    }
    const view = new DataView(message.buffer, message.byteOffset, message.byteLength);
    if (view.getUint32(0) !== 0x4941464d || message[4] !== 1) {
        throw new BridgeError("a binary message starts with the IAFM header, version 1");
    }
    const flags = view.getUint8(5);
    const codec = CODECS[flags & ~BOTTOM_UP];
    if (codec === undefined)
        throw new BridgeError(`no codec ${flags & ~BOTTOM_UP}`);
    const metaBytes = view.getUint32(24, true);
    if (metaBytes > MAX_META || HEADER_BYTES + metaBytes + view.getUint32(28, true) !== message.length) {
        throw new BridgeError("the header's sizes do not add up to the message");
    }
    const picture = {
        codec,
        width: view.getUint16(8, true),
        height: view.getUint16(10, true),
        bottomUp: (flags & BOTTOM_UP) !== 0,
        data: message.subarray(HEADER_BYTES + metaBytes),
    };
    sizeOf(picture, picture.data);
    return {
        picture,
        camera: view.getUint8(6),
        agent: view.getUint8(7),
        number: view.getUint32(12, true),
        tNs: view.getBigUint64(16, true),
        meta: message.subarray(HEADER_BYTES, HEADER_BYTES + metaBytes),
    };
}
/** A binary message with another observation number. */
export function withPictureNumber(message, number) {
    const copy = message.slice();
    new DataView(copy.buffer).setUint32(12, number, true);
    return copy;
}
/** The picture's bytes in a binary message. */
export function payloadOf(message) {
    const view = new DataView(message.buffer, message.byteOffset, message.byteLength);
    return message.subarray(HEADER_BYTES + view.getUint32(24, true));
}
function bytesOf(data) {
    if (data instanceof ArrayBuffer)
        return new Uint8Array(data);
    return data instanceof Uint8Array ? data : new Uint8Array(data.buffer, data.byteOffset, data.byteLength);
}
/** The size in the header; throws `BridgeError` where the bytes have another one. */
function sizeOf(picture, payload) {
    if (!CODECS.includes(picture.codec)) {
        throw new BridgeError(`no codec ${picture.codec}; known are ${CODECS.join(", ")}`);
    }
    const channels = CHANNELS[picture.codec];
    const inner = channels === undefined ? imageSize(payload, picture.codec) : null;
    if (channels === undefined && inner === null)
        throw new BridgeError(`the bytes are no ${picture.codec}`);
    const width = picture.width ?? inner?.width ?? 0;
    const height = picture.height ?? inner?.height ?? 0;
    const isSize = Number.isInteger(width) && Number.isInteger(height) && Math.min(width, height) > 0;
    if (!isSize || width * height > MAX_PIXELS || Math.max(width, height) > MAX_SIDE) {
        const limits = `1 to ${MAX_PIXELS} pixels and sides up to ${MAX_SIDE}`;
        throw new BridgeError(`a picture has ${limits}, got ${width}x${height}: send it smaller`);
    }
    if (inner !== null && (inner.width !== width || inner.height !== height)) {
        throw new BridgeError(`the picture is ${inner.width}x${inner.height}, not ${width}x${height}`);
    }
    const size = width * height * (channels ?? 0);
    if (channels !== undefined && payload.length !== size) {
        throw new BridgeError(`${picture.codec} of ${width}x${height} has ${size} bytes, got ${payload.length}`);
    }
    return { width, height };
}
