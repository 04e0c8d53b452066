type Write = (message: string, fields?: Record<string, unknown>) => void;

/** Structured lines in the host's log, bounded. Never log payloads. */
export const log: { debug: Write; info: Write; warn: Write; error: Write };
