// A core that cannot be opened leaves nothing behind that is in the way of the next try.
import assert from "node:assert/strict";
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, before, describe, it } from "node:test";
import { openCore } from "../../core/open.ts";
import { parseSettings } from "../../shared/settings/settings.ts";

describe("a core that cannot be opened", () => {
  let directory = "";
  before(async () => void (directory = await mkdtemp(join(tmpdir(), "tidings-open-"))));
  after(() => rm(directory, { recursive: true, force: true }));

  const rows = [
    ["a file is missing", { TIDINGS_KAFKA_TLS_CA: "/missing.pem" }, undefined, /Kafka's authorities/],
    ["it is told to stop while Kafka is away", {}, AbortSignal.abort(), /closed/],
  ] as const;
  for (const [why, more, signal, message] of rows) {
    it(`A2.5 gives its data directory free: ${why}`, async () => {
      const settings = parseSettings({
        TIDINGS_DATA_DIR: directory,
        TIDINGS_KAFKA_BROKERS: "127.0.0.1:1",
        ...more,
      });
      for (const time of ["first", "second"]) {
        await assert.rejects(
          openCore(settings, { onFatal: () => {}, ...(signal === undefined ? {} : { signal }) }),
          ({ message: text }: Error) => {
            assert.match(text, message, time);
            return true;
          },
        );
      }
    });
  }
});
