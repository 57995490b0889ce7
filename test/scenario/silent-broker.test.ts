// A core that starts while the broker is silent: it waits, says for what, and nobody has to start it again (A2.1). The test has
// a broker of its own, because it harms it.
import assert from "node:assert/strict";
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, before, describe, it } from "node:test";
import { openKafkaLog } from "../../core/log/kafka/kafka-log.ts";
import { eventually, pause } from "../support/eventually.ts";
import { freePort } from "../support/free-port.ts";
import { SHORT_TIMES } from "../support/hub/hub.ts";
import { call } from "../support/servers/http.ts";
import { startKafka, whyNoKafka } from "../support/kafka/kafka.ts";
import { API, createFrames } from "../support/kafka/frames.ts";
import type { Kafka } from "../support/kafka/node.ts";
import { CORE_KEY, EDGES } from "../support/keys.ts";
import { openStallingProxy } from "../support/kafka/stalling-proxy.ts";
import { createTierProcess, type TierProcess } from "../support/hub/tier-process.ts";

/** The requests of a start, in this order; the proxy falls silent before the first request of the given kind. */
const STEPS = [
  "createTopics",
  "describeConfigs",
  "listOffsets",
  "fetch",
  "joinGroup",
  "initProducerId",
  "endTransaction",
] as const;
/** Longer than the core asks any one question: 5 s without an answer, and 5 s more to learn which broker leads. */
const SILENCE_MS = 12_000;
const WAITS = /Waiting for Kafka|waits for the log/;
const SHARDS = 16;

interface Core extends TierProcess {
  readonly output: () => string;
}

describe("a core that starts while the broker gives no answer", { skip: await whyNoKafka(), timeout: 200_000 }, () => {
  let directory: string;
  let kafka: Kafka;
  let cores = 0;
  before(async () => {
    directory = await mkdtemp(join(tmpdir(), "tidings-silent-"));
    kafka = await startKafka(undefined, STEPS.length);
  });
  after(async () => {
    await kafka?.close();
    await rm(directory, { recursive: true, force: true, maxRetries: 3 });
  });

  async function newCore(broker: string): Promise<Core> {
    const name = `core-${++cores}`;
    const listen = `127.0.0.1:${await freePort()}`;
    let output = "";
    const core = createTierProcess("core", {
      name,
      url: `http://${listen}`,
      settings: {
        ...SHORT_TIMES,
        TIDINGS_CORE_LISTEN: listen,
        TIDINGS_DATA_DIR: join(directory, name),
        TIDINGS_KAFKA_BROKERS: broker,
        TIDINGS_KAFKA_PREFIX: name,
        TIDINGS_CORE_KEYS: JSON.stringify({ keys: [CORE_KEY] }),
        TIDINGS_EDGE_KEYS: JSON.stringify({ keys: EDGES }),
      },
      readyWithinMs: 90_000,
      note: (text) => void (output += text),
      output: () => output,
    });
    return Object.assign(core, { output: () => output });
  }

  /** A core that does not answer is not ready either. */
  const isReady = async ({ url }: Core) => (await call(`${url}/readyz`).catch(() => undefined))?.status === 200;
  const saysItWaits = (core: Core) =>
    eventually("a word of waiting", () => WAITS.test(core.output()), {
      deadlineMs: 30_000,
      seen: core.output,
    });

  async function hasAll(core: Core): Promise<void> {
    await eventually("all shards", async () => {
      const { text } = await call(`${core.operatingUrl}/metrics`);
      return new RegExp(`^tidings_shards\\S* ${SHARDS}$`, "m").test(text);
    }, { deadlineMs: 60_000, everyMs: 100, seen: core.output });
    assert.equal(await isReady(core), true);
  }

  /** Writes more than a replica may lack when its process joins the others (A3.12). */
  async function writeMuch(prefix: string): Promise<void> {
    const log = await openKafkaLog({
      brokers: [kafka.address],
      prefix,
      retentionMs: 7 * 86_400_000,
      maxMessageBytes: 1_000_000,
      clientId: "tidings-test",
    });
    const writer = await log.openWriter(0);
    await writer.commit(
      Array.from({ length: 1_200 }, (_, n) => ({ stream: "topics", key: `ended ${n}`, value: null })),
    );
    await writer.close();
    await log.close();
  }

  /** Lets the proxy fall silent before a starting core's first request of a kind. */
  async function silentBefore(step: (typeof STEPS)[number]) {
    const silent = Promise.withResolvers<void>();
    let fellSilent = false;
    const proxy = await openStallingProxy({
      ...kafka.doors[STEPS.indexOf(step)]!,
      stallBefore: () => {
        const begins = createFrames();
        return (chunk) => {
          const now = begins(chunk).includes(API[step]) && !fellSilent;
          if (now) silent.resolve();
          fellSilent ||= now;
          return now;
        };
      },
    });
    const core = await newCore(`127.0.0.1:${kafka.doors[STEPS.indexOf(step)]!.listen}`);
    if (step === "fetch") await writeMuch(core.name);
    return { proxy, core, silent: silent.promise };
  }

  it("A2.1 started before its broker listens, it is ready once the broker is there", async () => {
    await kafka.stop();
    const core = await newCore(kafka.address);
    const starting = core.start();
    await saysItWaits(core);
    assert.equal(await isReady(core), false);
    await kafka.start();
    await starting;
    await hasAll(core);
    assert.equal(await core.stop(), 0, core.output());
  });

  it("A2.1 started while its broker stands still, it is ready once the broker goes on", async () => {
    const core = await newCore(kafka.address);
    kafka.pause();
    let starting: Promise<void>;
    try {
      starting = core.start();
      await saysItWaits(core);
      assert.equal(await isReady(core), false);
    } finally {
      kafka.resume();
    }
    await starting;
    await hasAll(core);
    assert.equal(await core.stop(), 0, core.output());
  });

  it("A2.1 wherever in its start the broker falls silent, it goes on from there", async () => {
    await Promise.all(STEPS.map(async (step) => {
      const { proxy, core, silent } = await silentBefore(step);
      await using _ = proxy;
      const starting = core.start();
      try {
        await Promise.race([silent, starting]);
        await silent;
        await pause(SILENCE_MS);
        proxy.resume();
        await starting;
        await hasAll(core);
        assert.equal(await core.stop(), 0, core.output());
      } catch (error) {
        await core.kill();
        throw new Error(`silent before ${step}`, { cause: error });
      }
    }));
  });

  it("asked to stop while it waits, it ends with 0", async () => {
    await Promise.all((["createTopics", "listOffsets", "fetch", "joinGroup"] as const).map(async (step) => {
      const { proxy, core, silent } = await silentBefore(step);
      await using _ = proxy;
      const starting = core.start().catch(() => {});
      await silent;
      await pause(500);
      assert.equal(await core.stop(), 0, `silent before ${step}: ${core.output()}`);
      await starting;
    }));
  });
});
