/** @module Interface keyward:policy/random@0.1.0 **/
/**
 * `len` random bytes, at most 64 KiB (the host traps on more).
 */
export function bytes(len: number): Uint8Array;
