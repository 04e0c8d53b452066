/** @module Interface keyward:policy/guard@0.1.0 **/
/**
 * Allows the request with a plan, or refuses it. Also asked before `handler.invoke`, in the
 * same instance, with operation `invoke/NAME`.
 */
export function authorize(request: Request): Plan;
/**
 * The same for a batch: one result for each request, in order.
 */
export function authorizeMany(requests: Array<Request>): Array<Result<Plan, Error>>;
export type Request = import('./keyward-policy-types.js').Request;
export type Plan = import('./keyward-policy-types.js').Plan;
export type Error = import('./keyward-policy-types.js').Error;
export type Result<T, E> = { tag: 'ok', val: T } | { tag: 'err', val: E };
