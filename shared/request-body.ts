// A request's body as bytes (WIRE §1): with a limit on their number (413), room for them as they come (503), and a least pace (408).

import { pause } from "./pause.ts";
import type { BodyFlow } from "./serve.ts";

/** The body is, or says it is, longer than `maxBytes`. */
export class BodyTooLargeError extends Error {
  readonly maxBytes: number;
  constructor(maxBytes: number) {
    super(`The body is longer than ${maxBytes} bytes`);
    this.name = "BodyTooLargeError";
    this.maxBytes = maxBytes;
  }
}

/** The body comes more slowly than `PACE` allows. */
export class BodyTooSlowError extends Error {
  constructor({ graceMs, bytesPerSecond }: BodyPace) {
    super(`A body may take ${graceMs / 1_000} s, and one second more for each ${bytesPerSecond} bytes`);
    this.name = "BodyTooSlowError";
  }
}

/** No room was found for what came of the body. */
export class NoBodyRoomError extends Error {
  constructor() {
    super("There was no room for the body in time");
    this.name = "NoBodyRoomError";
  }
}

/** Room for a body, taken as it comes. */
export interface BodyRoom {
  /** Takes room for so many bytes more; false, and nothing is taken, if there is none now. */
  take(bytes: number): boolean;
  /** Calls back once the room is lost to another body. */
  onLost?(callback: () => void): void;
}

/** A body may take `graceMs`, and as much longer as what has come would take at this rate. */
export interface BodyPace {
  readonly graceMs: number;
  readonly bytesPerSecond: number;
}

export interface BodyLimits {
  readonly maxBytes: number;
  /** Default: as much as there is. */
  readonly room?: BodyRoom | undefined;
  /** Tells what comes while the body is read, where the runtime can. */
  readonly flow?: BodyFlow | undefined;
  /** Default `PACE`. */
  readonly pace?: BodyPace | undefined;
  /** Whether room is taken for all that a body says it is before it is read. Default: as it comes. */
  readonly asDeclared?: boolean | undefined;
  /** How long a body may wait for room, all its waits together, ms. Default 5 s. */
  readonly roomWithinMs?: number | undefined;
}

/** A tenth of what the slowest mobile lines carry, and time for one to change its cell. */
export const PACE: BodyPace = { graceMs: 20_000, bytesPerSecond: 1_024 };
/** A body that says it is no longer is read in one step. */
const SMALL_BYTES = 4_096;
const ROOM_WITHIN_MS = 5_000;
const LOOK_EVERY_MS = 25;
const NOTHING = new Uint8Array(0);

/**
 * Reads the whole body, once. It leaves the rest of a body that is refused to the server: cancelling would cut the client off
 * before it has its answer.
 * @throws {BodyTooLargeError} before reading, if Content-Length says so; else as soon as the bytes do
 * @throws {BodyTooSlowError | NoBodyRoomError}; and what the runtime throws if the client breaks off
 */
export async function readBody(request: Request, limits: BodyLimits): Promise<Uint8Array> {
  const declared = request.headers.get("content-length");
  if (declared !== null && !(Number(declared) <= limits.maxBytes)) throw new BodyTooLargeError(limits.maxBytes);
  const arrival = new Arrival(limits);
  try {
    // Every server cuts a body at its Content-Length, so that the cheap way is bounded here.
    if (declared !== null && (limits.asDeclared === true || Number(declared) <= SMALL_BYTES)) {
      await arrival.takes(Number(declared));
      return await arrival.unlessSlow(bytesOf(request));
    }
    if (limits.flow !== undefined) return await arrival.unlessSlow(readFlowing(request, limits.flow, arrival));
    if (request.body === null) return NOTHING;
    const reader = request.body.getReader();
    try {
      return await arrival.unlessSlow(readArriving(reader, arrival));
    } finally {
      // A Worker's runtime answers once nobody holds the rest of the body.
      reader.releaseLock();
    }
  } catch (error) {
    limits.flow?.drop();
    throw error;
  } finally {
    arrival.end();
  }
}

/**
 * Reads all that a reader has, whatever length was declared.
 * @throws {BodyTooLargeError} as soon as it is longer; the caller decides what happens to the rest
 */
export async function readParts(
  reader: ReadableStreamDefaultReader<Uint8Array>,
  maxBytes: number,
): Promise<Uint8Array> {
  return await readArriving(reader, new Arrival({ maxBytes }));
}

async function readArriving(reader: ReadableStreamDefaultReader<Uint8Array>, arrival: Arrival): Promise<Uint8Array> {
  const chunks: Uint8Array[] = [];
  for (let part = await reader.read(); !part.done; part = await reader.read()) {
    await arrival.takes(part.value.length);
    chunks.push(part.value);
  }
  return joined(chunks, arrival.size);
}

/** Lets the runtime read the body in its own cheapest way, and counts what comes beside it. */
function readFlowing(request: Request, flow: BodyFlow, arrival: Arrival): Promise<Uint8Array> {
  return new Promise((resolve, reject) => {
    let last: Promise<void> | undefined;
    const wait = async (bytes: number) => {
      flow.pause();
      try {
        await arrival.takes(bytes);
        flow.resume();
      } catch (error) {
        reject(error as Error);
      }
    };
    flow.watch((bytes) => {
      if (arrival.isOver) return;
      if (last === undefined && arrival.has(bytes)) return;
      // A runtime may still tell of what it had read before it paused.
      const waiting = (last ?? Promise.resolve()).then(() => wait(bytes)).then(() => {
        if (last === waiting) last = undefined;
      });
      last = waiting;
    });
    bytesOf(request).then(async (bytes) => {
      await last;
      resolve(bytes);
    }, reject);
  });
}

async function bytesOf(request: Request): Promise<Uint8Array> {
  return new Uint8Array(await request.arrayBuffer());
}

/** What has come of a body, and whether that is enough in its time. */
class Arrival {
  readonly #limits: BodyLimits;
  readonly #pace: BodyPace;
  #size = 0;
  #isOver = false;
  /** Waiting for room is not the client's time, ms. */
  #waitedMs = 0;
  #timer: ReturnType<typeof setTimeout> | undefined;

  constructor(limits: BodyLimits) {
    this.#limits = limits;
    this.#pace = limits.pace ?? PACE;
  }

  get size(): number {
    return this.#size;
  }
  get isOver(): boolean {
    return this.#isOver;
  }

  /** Counts what has come, if there is room for it at once. */
  has(bytes: number): boolean {
    const { maxBytes, room } = this.#limits;
    if (this.#size + bytes > maxBytes || room?.take(bytes) === false) return false;
    this.#size += bytes;
    return true;
  }

  /** Counts what has come, once there is room for it. @throws {BodyTooLargeError | NoBodyRoomError} */
  async takes(bytes: number): Promise<void> {
    const { maxBytes, roomWithinMs = ROOM_WITHIN_MS } = this.#limits;
    if (this.#size + bytes > maxBytes) throw new BodyTooLargeError(maxBytes);
    // A busy process looks later than it meant to: what counts is the time that has passed.
    for (let looked = performance.now(); !this.has(bytes);) {
      if (this.#waitedMs >= roomWithinMs || this.#isOver) throw new NoBodyRoomError();
      await pause(LOOK_EVERY_MS);
      const now = performance.now();
      this.#waitedMs += now - looked;
      looked = now;
    }
  }

  /** What `reading` yields, unless the body comes too slowly, or loses its room. @throws {BodyTooSlowError | NoBodyRoomError} */
  unlessSlow<T>(reading: Promise<T>): Promise<T> {
    return new Promise((resolve, reject) => {
      const look = (elapsedMs: number) => {
        const { graceMs, bytesPerSecond } = this.#pace;
        const mayTakeMs = graceMs + this.#size / bytesPerSecond * 1_000 + this.#waitedMs;
        if (mayTakeMs <= elapsedMs) return reject(new BodyTooSlowError(this.#pace));
        this.#timer = setTimeout(look, Math.ceil(mayTakeMs - elapsedMs), mayTakeMs);
      };
      look(0);
      this.#limits.room?.onLost?.(() => reject(new NoBodyRoomError()));
      reading.then(resolve, reject);
    });
  }

  end(): void {
    this.#isOver = true;
    clearTimeout(this.#timer);
  }
}

function joined(chunks: readonly Uint8Array[], size: number): Uint8Array {
  if (chunks.length === 1) return chunks[0]!;
  const body = new Uint8Array(size);
  let at = 0;
  for (const chunk of chunks) {
    body.set(chunk, at);
    at += chunk.length;
  }
  return body;
}
