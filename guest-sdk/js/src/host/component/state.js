import * as state from 'keyward:policy/state@0.1.0';

export const { get, put, putIf, remove } = state;

/** `BigInt` of the realm that ComponentizeJS's glue runs in, which is not the policy's. */
const GlueBigInt = state.add.constructor('return BigInt')();

/**
 * ComponentizeJS 0.23 ends the instance where the glue hands a negative 64-bit integer to the host:
 * it takes each for an unsigned one. What makes them signed is `BigInt.asIntN`, so for this call the
 * glue is given the same bits unsigned.
 */
export function add(name, amount, ttl) {
  const { asIntN, asUintN } = GlueBigInt;
  GlueBigInt.asIntN = asUintN;
  try {
    return state.add(name, amount, ttl);
  } finally {
    GlueBigInt.asIntN = asIntN;
  }
}
