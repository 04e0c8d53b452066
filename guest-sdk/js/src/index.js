// What a Keyward policy in JavaScript is written with. Nothing here lets a policy do anything: what
// it may do are the modules beside this one that it imports, such as `@keyward/policy/sealing`.

export { bytes, text } from './bytes.js';
export { Conflict, Denied, Invalid, NotFound, PolicyError, Unavailable, unknownOperation } from './errors.js';
export { Plan } from './plan.js';
export { definePolicy } from './policy.js';
export { Caller, Request } from './request.js';
