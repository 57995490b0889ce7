// Compares what came to a subscriber with what the hub promises (ARCHITECTURE §6).

export interface Published {
  /** The message id of the 2xx that the publisher got. */
  readonly id: string;
  readonly sha256: string;
}

/** One delivery, as the subscriber saw it. */
export interface Arrival {
  readonly id: string;
  readonly sha256: string;
  /** `performance.now()`. */
  readonly at: number;
  /** "none" for a subscription without a secret. */
  readonly signature: "good" | "bad" | "none";
}

export interface Account {
  readonly received: number;
  readonly missing: number;
  readonly repeated: number;
  readonly outOfOrder: number;
  /** First deliveries whose bytes are those that were published. */
  readonly equalBodies: number;
  readonly goodSignatures: number;
  /** Each promise that was not kept, in a sentence. */
  readonly broken: readonly string[];
}

/**
 * The account of one subscriber. Messages were published one after the other, so their order is the log's.
 * A delivery may be repeated only after `killedAt`. A message whose publish got no 2xx may come too, at any position.
 */
export function account(
  published: readonly Published[],
  arrivals: readonly Arrival[],
  { signed, killedAt }: { readonly signed: boolean; readonly killedAt: number },
): Account {
  const places = new Map(published.map(({ id }, place) => [id, place]));
  const first = new Map<string, Arrival>();
  const broken: string[] = [];
  let [repeated, outOfOrder, newest] = [0, 0, -1];
  for (const arrival of arrivals) {
    const before = first.get(arrival.id);
    if (before !== undefined) {
      repeated += 1;
      if (arrival.at < killedAt) broken.push(`${arrival.id} came again before anything had failed`);
      if (arrival.sha256 !== before.sha256) broken.push(`${arrival.id} came again with another body`);
      continue;
    }
    first.set(arrival.id, arrival);
    const place = places.get(arrival.id);
    if (place === undefined) continue;
    if (place < newest) outOfOrder += 1;
    newest = Math.max(newest, place);
  }
  const received = published.filter(({ id }) => first.has(id));
  const missing = published.length - received.length;
  const equalBodies = received.filter(({ id, sha256 }) => first.get(id)?.sha256 === sha256).length;
  const goodSignatures = received.filter(({ id }) => first.get(id)?.signature === "good").length;
  const badSignatures = arrivals.filter(({ signature }) => signature !== (signed ? "good" : "none")).length;
  if (missing > 0) broken.push(`${missing} messages that were answered 2xx are missing`);
  if (outOfOrder > 0) broken.push(`${outOfOrder} messages came out of order`);
  if (equalBodies < received.length) broken.push(`${received.length - equalBodies} bodies are not what was published`);
  if (badSignatures > 0) {
    broken.push(
      `${badSignatures} deliveries ${signed ? "have no good signature" : "have a signature that nobody asked for"}`,
    );
  }
  return { received: received.length, missing, repeated, outOfOrder, equalBodies, goodSignatures, broken };
}

/** Rows of cells as text. The first row is the heading; numbers are aligned right. */
export function table(rows: readonly (readonly (string | number)[])[]): string[] {
  const widths = (rows[0] ?? []).map((_, column) => Math.max(...rows.map((row) => String(row[column] ?? "").length)));
  return rows.map((row) =>
    row.map((cell, column) => {
      const width = widths[column] ?? 0;
      return column === 0 ? String(cell).padEnd(width) : String(cell).padStart(width);
    }).join("  ").trimEnd()
  );
}
