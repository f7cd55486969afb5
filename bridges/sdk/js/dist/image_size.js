/** Size of a JPEG or PNG, read from its bytes. */
const PNG = [0x89, 0x50, 0x4e, 0x47, 0x0d, 0x0a, 0x1a, 0x0a];
/** Pixels of a JPEG or PNG; null where the bytes are none. */
export function imageSize(bytes, codec) {
    return codec === "png" ? pngSize(bytes) : jpegSize(bytes);
}
function pngSize(bytes) {
    if (bytes.length < 24 || PNG.some((byte, i) => bytes[i] !== byte))
        return null;
    const view = viewOf(bytes);
    return { width: view.getUint32(16), height: view.getUint32(20) };
}
/** The first frame header (SOF0 to SOF15 without DHT, JPG and DAC) says the size. */
function jpegSize(bytes) {
    if (bytes.length < 4 || bytes[0] !== 0xff || bytes[1] !== 0xd8)
        return null;
    const view = viewOf(bytes);
    for (let at = 2; at + 9 <= bytes.length;) {
        if (bytes[at] !== 0xff)
            return null;
        const marker = view.getUint8(at + 1);
        if (marker === 0xff) {
            at += 1; // a fill byte
        }
        else if (marker === 0x01 || (marker >= 0xd0 && marker <= 0xd8)) {
            at += 2; // without a length
        }
        else if (marker >= 0xc0 && marker <= 0xcf && ![0xc4, 0xc8, 0xcc].includes(marker)) {
            return { width: view.getUint16(at + 7), height: view.getUint16(at + 5) };
        }
        else {
            at += 2 + view.getUint16(at + 2);
        }
    }
    return null;
}
function viewOf(bytes) {
    return new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
}
