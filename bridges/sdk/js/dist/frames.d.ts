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
export declare const HEADER_BYTES = 32;
export declare const MAX_PIXELS: number;
export declare const MAX_SIDE = 4096;
/** Bytes of a message, pictures included. */
export declare const MAX_MESSAGE: number;
/** Bytes of a picture's JSON. */
export declare const MAX_META: number;
/** Formats of a picture's bytes, by their numbers in the header. */
export declare const CODECS: readonly ["rgb", "rgba", "bgra", "gray", "jpeg", "png", "bgr"];
export type Codec = (typeof CODECS)[number];
/**
 * A picture as it travels. Raw ones are rows of pixels, one byte per channel, without padding, and need `width` and
 * `height`; a JPEG's or PNG's size is read from its bytes.
 */
export interface Picture {
    readonly codec: Codec;
    readonly data: Uint8Array | Uint8ClampedArray | ArrayBuffer;
    readonly width?: number;
    readonly height?: number;
    /** Whether the first row is the lowest, as `readPixels` of WebGL gives it. */
    readonly bottomUp?: boolean;
}
/** What the header says beside the picture. */
export interface FrameFields {
    readonly number: number;
    readonly camera?: number;
    readonly agent?: number;
    /** The sender's clock. */
    readonly tNs?: bigint;
    /** The JSON as UTF-8. */
    readonly meta?: Uint8Array;
}
/** A binary message, taken apart. */
export interface Frame {
    readonly picture: Required<Picture> & {
        readonly data: Uint8Array;
    };
    readonly number: number;
    readonly camera: number;
    readonly agent: number;
    readonly tNs: bigint;
    readonly meta: Uint8Array;
}
/** A picture as a binary message; throws `BridgeError` where the server would refuse it. */
export declare function packFrame(picture: Picture, fields: FrameFields): Uint8Array<ArrayBuffer>;
/** Take a binary message apart; throws `BridgeError` where it is none. */
export declare function unpackFrame(data: Uint8Array | ArrayBuffer): Frame;
/** A binary message with another observation number. */
export declare function withPictureNumber(message: Uint8Array<ArrayBuffer>, number: number): Uint8Array<ArrayBuffer>;
/** The picture's bytes in a binary message. */
export declare function payloadOf(message: Uint8Array): Uint8Array;
