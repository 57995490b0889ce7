// A ping says that a topic changed: its fetch is tried again until it succeeds, 5 times at most (WIRE §3). Fetches share their places
// fairly.
import { getLogger } from "@logtape/logtape";
import { pause } from "../../shared/pause.ts";
import type { Standing } from "../../shared/shares/standing.ts";
import { pingersOf } from "../state/fold-topic.ts";
import type { Fetched, TopicRecord } from "../state/records.ts";
import { createFetchPlaces, type WaitingFetch } from "./fetch-places.ts";
import { createFetchTopic, type FetchJob, type FetchResult, type TopicFetchOptions } from "./topic-fetch.ts";

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
  /** Another ping came: if the fetch under way fails, it is tried again at once. `topic` says whose it was. */
  hurry(topicId: string, topic: TopicRecord): void;
}

/** A fetch that is under way, or pauses between tries. */
interface Flight {
  /** Who pinged the topic since. */
  readonly requesters: Set<string>;
  /** Ends the pause. */
  hurry: AbortController;
  /** While it waits for a place. */
  waiting: WaitingFetch | undefined;
}

/** 5 tries within an hour. */
const PAUSES_MS = [10_000, 60_000, 600_000, 2_400_000];

/** A fetch that takes longer is slow, ms. */
const SLOW_MS = 2_000;

export function createTopicFetcher(options: TopicFetchOptions): TopicFetcher {
  const { signal } = options;
  const fetchTopic = createFetchTopic(options);
  const places = createFetchPlaces(signal);
  const flights = new Map<string, Flight>();

  /** One try; undefined if the hub stops. */
  async function attempt(job: FetchJob, flight: Flight, tries: number): Promise<FetchResult | undefined> {
    const { topic } = job.topic;
    flight.waiting = places.wait(topic, standingOf(job.topic, tries), flight.requesters);
    const place = await flight.waiting.place;
    flight.waiting = undefined;
    if (place === undefined) return undefined;
    try {
      const begun = performance.now();
      const result = await fetchTopic({ ...job, requester: place.pair.requester.name });
      if (result.kind === "failed") return result;
      return { ...result, fetched: pacedBy(result.fetched, performance.now() - begun) };
    } finally {
      places.leave(place);
    }
  }

  async function run(job: FetchJob): Promise<Fetched | undefined> {
    const { topicId, topic: { topic } } = job;
    const flight: Flight = {
      requesters: new Set(pingersOf(job.topic)),
      hurry: new AbortController(),
      waiting: undefined,
    };
    flights.set(topicId, flight);
    try {
      for (let tries = 0;; tries++) {
        // Made before the try: a ping that comes during the try also ends the pause after it.
        flight.hurry = new AbortController();
        const result = await attempt(job, flight, tries);
        if (result?.kind === "fetched") return result.fetched;
        const pauseMs = PAUSES_MS[tries];
        if (result === undefined) return undefined;
        logger.info("Topic {topic} could not be fetched: {reason}", { topic, reason: result.reason });
        if (result.final || pauseMs === undefined) return undefined;
        await pause(pauseMs, AbortSignal.any([flight.hurry.signal, signal]));
        if (signal.aborted) return undefined;
      }
    } finally {
      flights.delete(topicId);
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
    hurry(topicId, topic) {
      const flight = flights.get(topicId);
      if (flight === undefined) return;
      for (const requester of pingersOf(topic)) {
        if (flight.requesters.has(requester)) continue;
        flight.requesters.add(requester);
        flight.waiting?.join(requester);
      }
      flight.hurry.abort();
    },
  };
}

/** How well a topic's fetches have gone, before a try. */
function standingOf({ fetched }: TopicRecord, tries: number): Standing {
  if (tries > 0) return "failing";
  if (fetched === undefined) return "new";
  return fetched.slow === true ? "slow" : "proven";
}

/** What the record keeps of a fetch that took so long. */
function pacedBy(fetched: Fetched | undefined, ms: number): Fetched | undefined {
  if (fetched === undefined) return undefined;
  const { slow: _, ...rest } = fetched;
  return ms > SLOW_MS ? { ...rest, slow: true } : rest;
}
