export const DIGITS: string;

/** Random characters of an alphabet, 1 to 1,024. They stand for nothing. */
export function randomToken(alphabet: string, length: number): string;
