/** Pictures of a game: from a canvas, from `ImageData`, or from bytes that were made elsewhere. */

import { BridgeError } from "./errors.js";
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
export type JpegOptions = Partial<Size> & { readonly quality?: number };

let scratch: { canvas: OffscreenCanvas | HTMLCanvasElement; context: CanvasRenderingContext2D } | null = null;

/**
 * The pixels of a source, at once and not compressed. One that is drawn is stretched to `size`, else it has its own;
 * what is transparent becomes black.
 *
 * Take a WebGL canvas in the task that drew it, or with `preserveDrawingBuffer`: later it is blank.
 */
export function rawPicture(source: RgbaImage | Drawable, size?: Size): Picture {
  if ("data" in source) return { codec: "rgba", data: source.data, width: source.width, height: source.height };
  const { width, height } = size ?? sizeOf(source);
  const { data } = drawn(source, width, height).context.getImageData(0, 0, width, height);
  return { codec: "rgba", data, width, height };
}

/**
 * A source as JPEG (`quality` 0 to 1), for pictures that are large or go far. The pixels are taken at once; the bytes
 * come later.
 */
export async function jpegPicture(source: Drawable, options: JpegOptions = {}): Promise<Picture> {
  return compressed(source, "image/jpeg", options);
}

/** A source as PNG, without loss. */
export async function pngPicture(source: Drawable, options: Partial<Size> = {}): Promise<Picture> {
  return compressed(source, "image/png", options);
}

async function compressed(
  source: Drawable, type: "image/jpeg" | "image/png", options: JpegOptions,
): Promise<Picture> {
  const own = sizeOf(source);
  const { width = own.width, height = own.height, quality = 0.85 } = options;
  const blob = await blobOf(drawn(source, width, height).canvas, type, quality);
  if (blob.type !== type) throw new BridgeError(`this browser writes no ${type}`);
  const data = new Uint8Array(await blob.arrayBuffer());
  return { codec: type === "image/png" ? "png" : "jpeg", data, width, height };
}

function blobOf(canvas: OffscreenCanvas | HTMLCanvasElement, type: string, quality: number): Promise<Blob> {
  if ("convertToBlob" in canvas) return canvas.convertToBlob({ type, quality });
  return new Promise((resolve, reject) => {
    const take = (blob: Blob | null): void => {
      if (blob) resolve(blob);
      else reject(new BridgeError("the canvas cannot be read"));
    };
    canvas.toBlob(take, type, quality);
  });
}

/** A source drawn on the canvas of this module, whose pixels can be read whatever the source's context is. */
function drawn(source: Drawable, width: number, height: number): NonNullable<typeof scratch> {
  scratch ??= newScratch();
  const { canvas, context } = scratch;
  if (canvas.width !== width) canvas.width = width;
  if (canvas.height !== height) canvas.height = height;
  context.globalCompositeOperation = "copy"; // else the picture before would show through
  context.drawImage(source, 0, 0, width, height);
  return scratch;
}

function newScratch(): NonNullable<typeof scratch> {
  if (typeof OffscreenCanvas === "undefined" && typeof document === "undefined") {
    throw new BridgeError("no canvas here: give bytes, { codec, data, width, height }");
  }
  const canvas = typeof OffscreenCanvas === "undefined" ? document.createElement("canvas") : new OffscreenCanvas(1, 1);
  const context = canvas.getContext("2d", { alpha: false, willReadFrequently: true }) as CanvasRenderingContext2D;
  return { canvas, context };
}

function sizeOf(source: Drawable): Size {
  if ("videoWidth" in source) return { width: source.videoWidth, height: source.videoHeight };
  return { width: source.width, height: source.height };
}
