// Why something is not done. Throw one of these; the text reaches the caller, so it must hold no
// secret. Host functions throw them, too.

/** What all of them have in common. */
export class PolicyError extends Error {
  /** @param {string} tag @param {string} message */
  constructor(tag, message) {
    super(message);
    this.name = new.target.name;
    // The form in which an error crosses the component's boundary.
    this.payload = { tag, val: message };
  }
}

/** The policy or the host does not allow it. HTTP 403. */
export class Denied extends PolicyError {
  constructor(message) {
    super('denied', message);
  }
}

/** The request cannot be right, whoever asks: say what to change. HTTP 400. */
export class Invalid extends PolicyError {
  constructor(message) {
    super('invalid', message);
  }
}

/** No such key or version in this tenant. HTTP 404. */
export class NotFound extends PolicyError {
  constructor(message) {
    super('not-found', message);
  }
}

/** It clashes with the state of things. HTTP 409. */
export class Conflict extends PolicyError {
  constructor(message) {
    super('conflict', message);
  }
}

/** Try again later. HTTP 503. */
export class Unavailable extends PolicyError {
  constructor(message) {
    super('unavailable', message);
  }
}

/** The refusal of an operation the policy does not know. */
export function unknownOperation(operation) {
  return new Denied(`this policy knows no operation \`${operation}\``);
}

const CLASSES = {
  denied: Denied,
  invalid: Invalid,
  'not-found': NotFound,
  conflict: Conflict,
  unavailable: Unavailable,
};

/** The error of a contract's `error`; anything else stays what it is. */
export function fromHost(error) {
  const payload = error?.payload;
  const known = payload && CLASSES[payload.tag];
  return known && !(error instanceof PolicyError) ? new known(payload.val) : error;
}
