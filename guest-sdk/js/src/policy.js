import { bytes, own } from './bytes.js';
import { PolicyError } from './errors.js';
import { call, isGranted } from './permissions.js';
import { Plan } from './plan.js';
import { Request } from './request.js';

/**
 * Makes a policy of its decision and its operations. The result is the module's default export; the
 * build and the test harness take it from there.
 */
export function definePolicy({ authorize, operations = {} }) {
  if (typeof authorize !== 'function') {
    throw new TypeError('a policy needs a function `authorize(request)`');
  }
  for (const [name, operation] of Object.entries(operations)) {
    if (!/^[a-z0-9-]{1,64}$/.test(name)) {
      throw new TypeError(`the operation's name \`${name}\` is not of [a-z0-9-]{1,64}`);
    }
    if (typeof operation.invoke !== 'function') {
      throw new TypeError(`the operation \`${name}\` needs a function \`invoke(request, payload)\``);
    }
  }

  const decide = (request) =>
    reporting(() => {
      const plan = authorize(request);
      if (!(plan instanceof Plan)) {
        throw new TypeError('`authorize` must return a Plan, or throw Denied');
      }
      return plan;
    });

  const guard = {
    authorize: (request) => decide(new Request(request)),
    authorizeMany: (requests) => requests.map((request) => settled(() => guard.authorize(request))),
  };
  const handler = {
    invoke: (request, payload) =>
      reporting(() => {
        const seen = new Request(request);
        const operation = Object.hasOwn(operations, seen.invoked) && operations[seen.invoked];
        if (!operation) {
          throw new Error(`no operation \`${seen.operation}\``);
        }
        const answer = operation.invoke(seen, { contentType: payload.contentType, body: own(payload.body) });
        return {
          contentType: answer.contentType ?? payload.contentType,
          body: bytes(answer.body),
        };
      }),
    describe: () =>
      Object.entries(operations).map(([name, operation]) => ({
        name,
        description: operation.description ?? '',
        inputSchema: JSON.stringify(operation.input ?? {}),
        outputSchema: JSON.stringify(operation.output ?? {}),
      })),
  };
  return { guard, handler };
}

/** A contract's `result`. What is no PolicyError is a fault, and ends the instance. */
function settled(work) {
  try {
    return { tag: 'ok', val: work() };
  } catch (error) {
    if (error instanceof PolicyError) {
      return { tag: 'err', val: error.payload };
    }
    throw error;
  }
}

/**
 * Says what went wrong in the host's log before a fault ends the instance, if the policy may log:
 * the caller is told no more than that the policy crashed.
 */
function reporting(work) {
  try {
    return work();
  } catch (error) {
    if (!(error instanceof PolicyError) && isGranted('log')) {
      const stack = String(error?.stack).trim().replaceAll('\n', ' < ');
      call('log', 'write', 'error', String(error), [['stack', stack]]);
    }
    throw error;
  }
}
