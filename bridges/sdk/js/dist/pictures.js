/** Pictures of a game: from a canvas, from `ImageData`, or from bytes that were made elsewhere. */
import { BridgeError } from "./errors.js";
let scratch = null;
/**
 * The pixels of a source, at once and not compressed. One that is drawn is stretched to `size`, else it has its own;
 * what is transparent becomes black.
 *
 * Take a WebGL canvas in the task that drew it, or with `preserveDrawingBuffer`: later it is blank.
 */
export function rawPicture(source, size) {
    if ("data" in source)
        return { codec: "rgba", data: source.data, width: source.width, height: source.height };
    const { width, height } = size ?? sizeOf(source);
    const { data } = drawn(source, width, height).context.getImageData(0, 0, width, height);
    return { codec: "rgba", data, width, height };
}
/**
 * A source as JPEG (`quality` 0 to 1), for pictures that are large or go far. The pixels are taken at once; the bytes
 * come later.
 */
export async function jpegPicture(source, options = {}) {
    return compressed(source, "image/jpeg", options);
}
/** A source as PNG, without loss. */
export async function pngPicture(source, options = {}) {
    return compressed(source, "image/png", options);
}
async function compressed(source, type, options) {
    const own = sizeOf(source);
    const { width = own.width, height = own.height, quality = 0.85 } = options;
    const blob = await blobOf(drawn(source, width, height).canvas, type, quality);
    if (blob.type !== type)
        throw new BridgeError(`this browser writes no ${type}`);
    const data = new Uint8Array(await blob.arrayBuffer());
    return { codec: type === "image/png" ? "png" : "jpeg", data, width, height };
}
function blobOf(canvas, type, quality) {
    if ("convertToBlob" in canvas)
        return canvas.convertToBlob({ type, quality });
    return new Promise((resolve, reject) => {
        const take = (blob) => {
            if (blob)
                resolve(blob);
            else
                reject(new BridgeError("the canvas cannot be read"));
        };
        canvas.toBlob(take, type, quality);
    });
}
/** A source drawn on the canvas of this module, whose pixels can be read whatever the source's context is. */
function drawn(source, width, height) {
    scratch ??= newScratch();
    const { canvas, context } = scratch;
    if (canvas.width !== width)
        canvas.width = width;
    if (canvas.height !== height)
        canvas.height = height;
    context.globalCompositeOperation = "copy"; // else the picture before would show through
    context.drawImage(source, 0, 0, width, height);
    return scratch;
}
function newScratch() {
    if (typeof OffscreenCanvas === "undefined" && typeof document === "undefined") {
        throw new BridgeError("no canvas here: give bytes, { codec, data, width, height }");
    }
    const canvas = typeof OffscreenCanvas === "undefined" ? document.createElement("canvas") : new OffscreenCanvas(1, 1);
    const context = canvas.getContext("2d", { alpha: false, willReadFrequently: true });
    return { canvas, context };
}
function sizeOf(source) {
    if ("videoWidth" in source)
        return { width: source.videoWidth, height: source.videoHeight };
    return { width: source.width, height: source.height };
}
