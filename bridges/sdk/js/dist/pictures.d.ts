/** Pictures of a game: from a canvas, from `ImageData`, or from bytes that were made elsewhere. */
import type { Picture } from "./frames.js";
/** `ImageData`, or what has its fields: RGBA, rows from the top. */
export interface RgbaImage {
    readonly data: Uint8ClampedArray | Uint8Array;
    readonly width: number;
    readonly height: number;
}
/** What may be drawn: a canvas with any context, an `ImageBitmap`, a video. */
export type Drawable = HTMLCanvasElement | OffscreenCanvas | ImageBitmap | HTMLVideoElement;
export type PictureSource = Picture | RgbaImage | Drawable;
interface Size {
    readonly width: number;
    readonly height: number;
}
/** The size in which a source is drawn (its own), and how good a JPEG is (0.85). */
export type JpegOptions = Partial<Size> & {
    readonly quality?: number;
};
/**
 * The pixels of a source, at once and not compressed. One that is drawn is stretched to `size`, else it has its own;
 * what is transparent becomes black.
 *
 * Take a WebGL canvas in the task that drew it, or with `preserveDrawingBuffer`: later it is blank.
 */
export declare function rawPicture(source: RgbaImage | Drawable, size?: Size): Picture;
/**
 * A source as JPEG (`quality` 0 to 1), for pictures that are large or go far. The pixels are taken at once; the bytes
 * come later.
 */
export declare function jpegPicture(source: Drawable, options?: JpegOptions): Promise<Picture>;
/** A source as PNG, without loss. */
export declare function pngPicture(source: Drawable, options?: Partial<Size>): Promise<Picture>;
export {};
