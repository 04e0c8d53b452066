import { own } from './bytes.js';

const INVOKE = 'invoke/';

/** Who is asking, as the host authenticated them. */
export class Caller {
  constructor({ subject, roles, claims }) {
    this.subject = subject;
    this.roles = roles;
    this.claims = claims;
  }

  hasRole(role) {
    return this.roles.includes(role);
  }

  hasAnyRole(roles) {
    return roles.some((role) => this.hasRole(role));
  }

  /** The value of the first claim of that name. */
  claim(name) {
    return this.claims.find(([claimed]) => claimed === name)?.[1];
  }
}

/** One operation a caller asks for. */
export class Request {
  constructor(fields) {
    this.id = fields.id;
    this.tenant = fields.tenant;
    this.caller = new Caller(fields.caller);
    this.operation = fields.operation;
    this.key = fields.key;
    this.context = own(fields.context);
    this.purpose = fields.purpose;
    // Milliseconds since 1970: exact as a number for 285,000 years.
    this.time = Number(fields.time);
  }

  /** NAME of `invoke/NAME`; undefined for any other operation. */
  get invoked() {
    return this.operation.startsWith(INVOKE) ? this.operation.slice(INVOKE.length) : undefined;
  }

  hasRole(role) {
    return this.caller.hasRole(role);
  }

  hasAnyRole(roles) {
    return this.caller.hasAnyRole(roles);
  }

  claim(name) {
    return this.caller.claim(name);
  }
}
