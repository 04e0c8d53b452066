// Text and bytes. The engine has both of these without any WASI.

const encoder = new TextEncoder();
const decoder = new TextDecoder('utf-8', { fatal: true });

/** Bytes as they are; text as UTF-8. */
export function bytes(data) {
  if (typeof data === 'string') {
    return encoder.encode(data);
  }
  if (ArrayBuffer.isView(data)) {
    return own(data);
  }
  throw new TypeError('expected a string or a Uint8Array');
}

/**
 * The same bytes as a Uint8Array of the policy's own: those of the host come from another realm, where
 * `instanceof` is of no use. Anything else stays what it is.
 */
export function own(data) {
  return ArrayBuffer.isView(data) && !(data instanceof Uint8Array)
    ? new Uint8Array(data.buffer, data.byteOffset, data.byteLength)
    : data;
}

/** UTF-8 as text; throws on bytes that are none. */
export function text(data) {
  return decoder.decode(data);
}
