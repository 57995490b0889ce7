// Sentences that are made at runtime, as the text of log lines.

/** Text as a line of the log, where braces would name a property, and a property's text would stand in quotes. */
export function literal(text: string): string {
  return text.replace(/[{}]/g, "$&$&");
}
