// Importing this module is the permission `keyward:policy/log`. What a policy throws that is no
// PolicyError is then logged, too.

import * as host from '#host/log';

import { grant } from './permissions.js';

grant('log', host);

const write = (level) => (message, fields = {}) =>
  host.write(
    level,
    String(message),
    Object.entries(fields).map(([name, value]) => [name, String(value)]),
  );

/** Structured lines in the host's log, bounded. Never log payloads. */
export const log = {
  debug: write('debug'),
  info: write('info'),
  warn: write('warn'),
  error: write('error'),
};
