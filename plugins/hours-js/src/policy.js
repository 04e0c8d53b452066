// Decrypting only within a purpose's hours. The purpose is bound into the ciphertext, so that data
// written for one does not open for another, whatever the hour. What is read in an emergency is
// noted. This policy imports no capability but the log.

import { definePolicy, Denied, Invalid, Plan, unknownOperation } from '@keyward/policy';
import { log } from '@keyward/policy/log';

import { isWithin, PURPOSES, WRITERS } from './windows.js';

/** Keeps this policy's authenticated data apart from any other's. */
const DOMAIN = 'keyward hours v1';

function purposeOf(request) {
  if (request.purpose !== undefined && Object.hasOwn(PURPOSES, request.purpose)) {
    return request.purpose;
  }
  throw new Invalid(`\`purpose\` must be one of ${Object.keys(PURPOSES).join(', ')}`);
}

const plan = (purpose) => Plan.allow().bind(DOMAIN).bind(purpose);

function write(request) {
  if (!request.hasAnyRole(WRITERS)) {
    throw new Denied(`${request.operation} needs one of the roles ${WRITERS.join(', ')}`);
  }
  return plan(purposeOf(request));
}

function read(request) {
  const purpose = purposeOf(request);
  const window = PURPOSES[purpose];
  if (!request.hasAnyRole(window.roles)) {
    throw new Denied(`no role of yours reads for the purpose ${purpose}`);
  }
  if (!isWithin(window, request.time)) {
    throw new Denied(`data is read for ${purpose} from ${window.from} to ${window.to} o'clock only`);
  }
  if (purpose !== 'emergency') {
    return plan(purpose);
  }
  log.warn('read in an emergency', { subject: request.caller.subject, key: request.key ?? '' });
  return plan(purpose).note('emergency');
}

export default definePolicy({
  authorize(request) {
    switch (request.operation) {
      case 'encrypt':
      case 'datakey':
      case 'rewrap':
        return write(request);
      case 'decrypt':
        return read(request);
      default:
        throw unknownOperation(request.operation);
    }
  },
});
