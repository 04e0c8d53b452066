// The tables to edit: what data may be read for, by whom, and when.

/** Roles that may write, for any purpose below, at any time. */
export const WRITERS = ['application'];

/** Minutes east of UTC of the clock on the wall: policies have no time zones. */
const UTC_OFFSET = 60;

const WORKDAYS = [1, 2, 3, 4, 5];
const EVERY_DAY = [0, 1, 2, 3, 4, 5, 6];

/**
 * Of each purpose the roles that may read for it, the days (0 is Sunday) and the hours: from the
 * first minute of `from` to the last before `to`.
 */
export const PURPOSES = {
  support: { roles: ['support'], days: WORKDAYS, from: 8, to: 18 },
  billing: { roles: ['accountant', 'application'], days: WORKDAYS, from: 6, to: 22 },
  emergency: { roles: ['on-call'], days: EVERY_DAY, from: 0, to: 24 },
};

/** Whether a time, in milliseconds since 1970, is within a purpose's window. */
export function isWithin({ days, from, to }, time) {
  const wall = new Date(time + UTC_OFFSET * 60_000);
  const hour = wall.getUTCHours();
  return days.includes(wall.getUTCDay()) && from <= hour && hour < to;
}
