/** SHA-256 (FIPS 180-4) of bytes that come one after the other; `crypto.subtle` wants them all at once. */
export declare class Sha256 {
    private readonly state;
    private readonly block;
    private readonly words;
    private filled;
    private bytes;
    update(data: Uint8Array): void;
    /** The hash so far as 64 hexadecimal digits; nothing can be added afterwards. */
    hex(): string;
    private compress;
}
