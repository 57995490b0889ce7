// A logger for a test: it keeps each line as people read it.

export interface KeptLines {
  readonly warn: (message: string, properties?: Record<string, unknown>) => void;
  readonly info: (message: string, properties?: Record<string, unknown>) => void;
  /** "warn …" and "info …", in order. */
  readonly lines: string[];
}

export function keepLines(): KeptLines {
  const lines: string[] = [];
  const keep = (level: string) => (message: string, properties: Record<string, unknown> = {}) => {
    const text = message.replace(/\{\{|\}\}|\{(\w+)\}/g, (written, name: string | undefined) => {
      return name === undefined ? written.slice(1) : String(properties[name]);
    });
    lines.push(`${level} ${text}`);
  };
  return { warn: keep("warn"), info: keep("info"), lines };
}
