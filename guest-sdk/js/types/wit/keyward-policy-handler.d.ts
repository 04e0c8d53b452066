/** @module Interface keyward:policy/handler@0.1.0 **/
/**
 * Executes `invoke/NAME`, after `guard.authorize` allowed the same request.
 */
export function invoke(request: Request, payload: Payload): Payload;
/**
 * The operations this policy offers. Called at admission, without a request.
 */
export function describe(): Array<Operation>;
export type Request = import('./keyward-policy-types.js').Request;
export type Error = import('./keyward-policy-types.js').Error;
export interface Payload {
  /**
   * Media type, for instance `application/json`.
   */
  contentType: string,
  body: Uint8Array,
}
/**
 * One operation, as a caller sees it.
 */
export interface Operation {
  /**
   * Lower-case letters, digits and `-`.
   */
  name: string,
  description: string,
  /**
   * JSON Schema (2020-12) of the input and the output.
   */
  inputSchema: string,
  outputSchema: string,
}
