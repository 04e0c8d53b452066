/** Random bytes from the host's cryptographic generator, at most 64 KiB. */
export function randomBytes(length: number): Uint8Array;
