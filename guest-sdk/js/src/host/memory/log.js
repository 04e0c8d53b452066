import { world } from './world.js';

export const write = (level, message, fields) =>
  world().lines.push({ level, message, fields: Object.fromEntries(fields) });
