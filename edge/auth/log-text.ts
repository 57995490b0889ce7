// Sentences that are made at runtime, as the text of log lines.

/** Text as a line of the log, where braces would name a property, and a property's text would stand in quotes. */
export function literal(text: string): string {
  return text.replace(/[{}]/g, "$&$&");
}

/** Where these lines go: what is used of a logger of LogTape. Its own types need a newer library than users of the package may have. */
export interface LineLog {
  warn(message: string, properties?: Record<string, unknown>): void;
  info(message: string, properties?: Record<string, unknown>): void;
}
