import type { Data } from './index.js';

/** Encrypts to a public key (HPKE, DER) whose private half the host does not have. */
export function sealTo(
  publicKey: Uint8Array,
  data: Data,
  bound?: { info?: Data; aad?: Data },
): Uint8Array;
