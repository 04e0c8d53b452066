// plugins/records in JavaScript.

import { definePolicy, Denied, Invalid, Plan, unknownOperation } from '@keyward/policy';

const DOMAIN = 'keyward records v1';
const PURPOSES = ['treatment', 'billing', 'research'];
const WRITERS = ['application', 'clinician'];
const GRANTS = {
  application: ['treatment', 'billing'],
  clinician: ['treatment'],
  accountant: ['billing'],
  researcher: ['research'],
};

const listing = (introduction, names) =>
  `${introduction} ${names.map((name) => `\`${name}\``).join(', ')}`;

const plan = (purpose) => Plan.allow().bind(DOMAIN).bind(purpose);

function knownPurpose({ purpose }) {
  if (purpose === undefined) {
    throw new Invalid(listing('say what it is for: `purpose` is one of', PURPOSES));
  }
  if (!PURPOSES.includes(purpose)) {
    throw new Invalid(listing('`purpose` must be one of', PURPOSES));
  }
  return purpose;
}

export default definePolicy({
  authorize(request) {
    switch (request.operation) {
      case 'encrypt':
      case 'datakey':
      case 'rewrap':
        if (!request.hasAnyRole(WRITERS)) {
          throw new Denied(listing(`${request.operation} needs one of the roles`, WRITERS));
        }
        return plan(knownPurpose(request));
      case 'decrypt': {
        const purpose = knownPurpose(request);
        const granted = Object.entries(GRANTS).some(
          ([role, purposes]) => request.hasRole(role) && purposes.includes(purpose),
        );
        if (!granted) {
          throw new Denied(`no role of yours is granted the purpose \`${purpose}\``);
        }
        return plan(purpose);
      }
      default:
        throw unknownOperation(request.operation);
    }
  },
});
