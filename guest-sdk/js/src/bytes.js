// Text and bytes. The engine has both of these without any WASI.

const encoder = new TextEncoder();
const decoder = new TextDecoder('utf-8', { fatal: true });

/** Bytes as they are; text as UTF-8. */
export function bytes(data) {
  if (typeof data === 'string') {
    return encoder.encode(data);
  }
  if (data instanceof Uint8Array) {
    return data;
  }
  throw new TypeError('expected a string or a Uint8Array');
}

/** UTF-8 as text; throws on bytes that are none. */
export function text(data) {
  return decoder.decode(data);
}
