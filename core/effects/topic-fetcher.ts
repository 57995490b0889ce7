// A ping says that a topic changed: its fetch is tried again until it succeeds, 5 times at most, and fetches are bounded in all and
// per site (WIRE §3).
import { getLogger } from "@logtape/logtape";
import pLimit, { type LimitFunction } from "p-limit";
import { parseHttpUrl } from "../../shared/http-url.ts";
import { pause } from "../../shared/pause.ts";
import type { Fetched, TopicRecord } from "../state/records.ts";
import { createFetchTopic, type FetchJob, type TopicFetchOptions } from "./topic-fetch.ts";

const logger = getLogger(["tidings", "core", "topic-fetch"]);

export interface TopicFetcher {
  /**
   * Fetches until it succeeds or has been tried 5 times; `done` is told which ping that answers and what was fetched. Nothing is
   * asked for or published while `mayAct` says no (A3.4).
   */
  fetch(
    topicId: string,
    topic: TopicRecord,
    done: (ping: number, fetched: Fetched | undefined) => void,
    mayAct?: () => boolean,
  ): void;
  /** Another ping came: if the fetch under way fails, it is tried again at once. */
  hurry(topicId: string): void;
}

/** Each fetch may hold a whole document; those of one site leave room for others. */
export const FETCHES_AT_ONCE = 64;
export const FETCHES_PER_ORIGIN = 8;
/** 5 tries within an hour. */
const PAUSES_MS = [10_000, 60_000, 600_000, 2_400_000];

export function createTopicFetcher(options: TopicFetchOptions): TopicFetcher {
  const { signal } = options;
  const fetchTopic = createFetchTopic(options);
  const limited = createLimits();
  const hurrying = new Map<string, AbortController>();

  async function run(job: FetchJob): Promise<Fetched | undefined> {
    const { topicId, topic: { topic } } = job;
    try {
      for (let tries = 0;; tries++) {
        // Made before the try: a ping that comes during the try also ends the pause after it.
        const hurry = new AbortController();
        hurrying.set(topicId, hurry);
        const result = await limited(topic, () => fetchTopic(job));
        if (result.kind === "fetched") return result.fetched;
        const pauseMs = PAUSES_MS[tries];
        logger.info("Topic {topic} could not be fetched: {reason}", { topic, reason: result.reason });
        if (result.final || pauseMs === undefined) return undefined;
        await pause(pauseMs, AbortSignal.any([hurry.signal, signal]));
        if (signal.aborted) return undefined;
      }
    } finally {
      hurrying.delete(topicId);
    }
  }

  return {
    fetch(topicId, topic, done, mayAct = () => true) {
      if (topic.fetchOwed === undefined) return;
      const { ping } = topic.fetchOwed;
      run({ topicId, topic, ping, mayAct }).then(
        (fetched) => {
          // If the process is stopping, the fetch stays owed until the next start.
          if (!signal.aborted || fetched !== undefined) done(ping, fetched);
        },
        (error: unknown) => {
          logger.error("Fetching topic {topic} failed: {error}", { topic: topic.topic, error });
          done(ping, undefined);
        },
      );
    },
    hurry: (topicId) => hurrying.get(topicId)?.abort(),
  };
}

/** Runs tasks as the bounds allow, for all sites and for the site of a URL. */
function createLimits(): <T>(url: string, task: () => Promise<T>) => Promise<T> {
  const ofAll = pLimit(FETCHES_AT_ONCE);
  const origins = new Map<string, LimitFunction>();
  return async (url, task) => {
    const key = originOf(url);
    let ofOrigin = origins.get(key);
    if (ofOrigin === undefined) origins.set(key, ofOrigin = pLimit(FETCHES_PER_ORIGIN));
    try {
      return await ofOrigin(() => ofAll(task));
    } finally {
      if (ofOrigin.activeCount + ofOrigin.pendingCount === 0) origins.delete(key);
    }
  };
}

function originOf(url: string): string {
  try {
    return parseHttpUrl(url).origin;
  } catch {
    return "";
  }
}
