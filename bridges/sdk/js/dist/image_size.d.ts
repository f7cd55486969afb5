/** Size of a JPEG or PNG, read from its bytes. */
/** Pixels of a JPEG or PNG; null where the bytes are none. */
export declare function imageSize(bytes: Uint8Array, codec: string): {
    width: number;
    height: number;
} | null;
