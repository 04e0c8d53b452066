// Applications encrypt and decrypt; what was encrypted for one purpose opens for no other.
const refuse = (tag, val) => { throw { payload: { tag, val } }; };

const allow = (binds) => ({
  key: undefined,
  version: undefined,
  suite: undefined,
  authenticatedData: new TextEncoder().encode(binds),
  obligations: [],
});

function authorize(request) {
  if (!request.caller.roles.includes('application')) {
    refuse('denied', 'this needs the role `application`');
  }
  if (request.purpose === undefined) {
    refuse('invalid', 'say what it is for, in `purpose`');
  }
  if (!['encrypt', 'decrypt'].includes(request.operation)) {
    refuse('denied', `this policy does not allow \`${request.operation}\``);
  }
  return allow(request.purpose);
}

const answer = (request) => {
  try {
    return { tag: 'ok', val: authorize(request) };
  } catch (refused) {
    return { tag: 'err', val: refused.payload };
  }
};

export const guard = { authorize, authorizeMany: (requests) => requests.map(answer) };

export const handler = {
  invoke: (request) => refuse('invalid', `there is no operation \`${request.operation}\``),
  describe: () => [],
};
