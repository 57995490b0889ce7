// The embedded log on a disk that fills up: it keeps what it acknowledged, refuses the rest, and goes on when there is room.
import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { type CallbackServer, openCallbackServer } from "../support/servers/callback-server.ts";
import { eventually } from "../support/eventually.ts";
import { publish, request, statusUntil, subscribed } from "../support/hub/hub-client.ts";
import { openOwnHub, type OwnHub } from "../support/hub/hub.ts";
import { openSmallDisk, whyNoSmallDisk } from "../support/small-disk.ts";

const MEBIBYTES = 16;
const BODY_BYTES = 100_000;
const why = whyNoSmallDisk();
if (why !== undefined) console.error(`The tests of a full disk are skipped: ${why}. Run them as root on Linux.`);

const TOPIC = "disk/full";
const send = (hub: OwnHub, name: string, bytes = BODY_BYTES) =>
  publish(hub, TOPIC, { body: name.padEnd(bytes, "."), contentType: "text/plain" });

/** Publishes until the disk is full. Returns the names of the accepted messages. */
async function fill(hub: OwnHub): Promise<string[]> {
  const accepted: string[] = [];
  for (let n = 0;; n++) {
    const reply = await send(hub, `filling ${n}`);
    if (reply.status !== 200) {
      assert.equal(reply.status, 503, reply.text);
      assert.ok(Number(reply.headers["retry-after"]) > 0, "says when to try again");
      return accepted;
    }
    accepted.push(`filling ${n}`);
    assert.ok(accepted.length * BODY_BYTES < MEBIBYTES * 1_048_576, "the disk is full by now");
  }
}

async function accepts(hub: OwnHub, name: string): Promise<string> {
  await eventually("a publish that is accepted", async () => (await send(hub, name)).status === 200, {
    deadlineMs: 20_000,
    everyMs: 200,
  });
  return name;
}

async function onSmallDisk(run: (hub: OwnHub, callbacks: CallbackServer, grow: () => void) => Promise<void>) {
  using disk = openSmallDisk(MEBIBYTES);
  await using callbacks = await openCallbackServer();
  const hub = await openOwnHub({ dataDir: disk.path });
  try {
    await run(hub, callbacks, () => disk.resize(MEBIBYTES * 8));
  } finally {
    await hub.close();
  }
}

describe("A2.5 a full disk under the embedded log", { skip: why, timeout: 90_000 }, () => {
  it("is 503 to who publishes and subscribes, ends no process, loses nothing, and goes on when there is room", () =>
    onSmallDisk(async (hub, callbacks, grow) => {
      const callback = callbacks.callback();
      await subscribed(hub, TOPIC, callback);
      const [core, edge] = [hub.pid("core"), hub.pid("edge")];
      const accepted = await fill(hub);
      assert.ok(accepted.length > 10, `${accepted.length} accepted`);
      const refused = await Promise.all(Array.from({ length: 8 }, (_, n) => send(hub, `refused ${n}`)));
      assert.deepEqual(refused.map(({ status }) => status), refused.map(() => 503));
      const received = () => callback.deliveries.map(({ body }) => body.toString().replace(/\.+$/, ""));
      await eventually(
        "all that was accepted, also while there is no room",
        () => received().length >= accepted.length,
      );
      grow();
      accepted.push(await accepts(hub, "after"));
      await eventually("the one after", () => received().includes("after"));
      assert.deepEqual([...new Set(received())], accepted, "nothing lost, in order, and nothing that was refused");
      await statusUntil(hub, TOPIC, callback.url, "no lag", ({ lag }) => lag === 0);
      const other = callbacks.callback();
      assert.equal((await request(hub, "subscribe", TOPIC, other.url)).status, 202);
      await statusUntil(hub, TOPIC, other.url, "active", ({ state }) => state === "active");
      assert.deepEqual([hub.pid("core"), hub.pid("edge")], [core, edge], "neither process has ended");
    }));

  it("loses nothing that was acknowledged where the core is killed meanwhile", () =>
    onSmallDisk(async (hub, callbacks, grow) => {
      const callback = callbacks.callback();
      await subscribed(hub, TOPIC, callback);
      const accepted = await fill(hub);
      await hub.kill("core");
      grow();
      await hub.start("core");
      accepted.push(await accepts(hub, "after"));
      const received = () => callback.deliveries.map(({ body }) => body.toString().replace(/\.+$/, ""));
      await eventually("the one after", () => received().includes("after"));
      assert.deepEqual([...new Set(received())], accepted);
    }));
});
