/** @module Interface keyward:policy/log@0.1.0 **/
export function write(level: Level, message: string, fields: Array<[string, string]>): void;
/**
 * # Variants
 * 
 * ## `"debug"`
 * 
 * ## `"info"`
 * 
 * ## `"warn"`
 * 
 * ## `"error"`
 */
export type Level = 'debug' | 'info' | 'warn' | 'error';
