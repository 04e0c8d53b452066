// Which interfaces of the host the policy imports. A module of this package such as
// `@keyward/policy/sealing` grants one when it is imported; the build puts into the component those
// that the policy's code imports, and no other.

import { own } from './bytes.js';
import { fromHost } from './errors.js';

const granted = new Map();

/** Called by the module of an interface: its functions may be called from now on. */
export function grant(name, functions) {
  granted.set(name, functions);
}

/** Whether the interface was imported. */
export function isGranted(name) {
  return granted.has(name);
}

/** Calls a function of an interface; its errors are those of `errors.js`. */
export function call(name, method, ...args) {
  const functions = granted.get(name);
  if (!functions) {
    const module = name === 'index' ? 'index-terms' : name;
    throw new Error(`\`${method}\` needs \`import '@keyward/policy/${module}'\` in the policy`);
  }
  const result = attempt(() => functions[method](...args));
  return Array.isArray(result) ? result.map(own) : own(result);
}

/** Does `work`; an error of the host becomes one of `errors.js`. */
export function attempt(work) {
  try {
    return work();
  } catch (error) {
    throw fromHost(error);
  }
}

/** One result of a call for many: the value, or the error it would have thrown. */
export function outcome(result) {
  return result.tag === 'ok' ? own(result.val) : fromHost({ payload: result.val });
}
