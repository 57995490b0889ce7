// What clients that cannot run here write to their sockets, and what they must read: the files beside this one, replayed against a
// hub, and compared as bytes (CONFORMANCE §8).
import assert from "node:assert/strict";
import { readdir, readFile } from "node:fs/promises";
import { after, describe, it } from "node:test";
import { openOwnHub } from "../support/hub/hub.ts";
import { fill, match, parseMessage, parseScript, type Step } from "./script.ts";
import { CallbackWire, ClientWire } from "./wires.ts";

const folder = new URL("./", import.meta.url);
const files = (await readdir(folder)).filter((name) => name.endsWith(".http")).sort();
const hub = await openOwnHub();
after(() => hub.close());
const { host, port } = new URL(hub.url);

/** Headers of the hub's answers that say nothing about what was answered. */
const TRANSPORT = ["date", "keep-alive", "connection"];

for (const file of files) {
  const text = await readFile(new URL(file, folder), "latin1");
  // A request alone is replayed where its effects are seen (test/conformance/).
  if (text.startsWith("POST ")) continue;
  describe(`the dialect of ${file}`, () => {
    it("is kept with its line ends", () => assert.doesNotMatch(text, /[^\r]\n/));
    it("is answered byte for byte", { timeout: 60_000 }, () => replay(file, parseScript(text)));
  });
}

async function replay(file: string, steps: readonly Step[]): Promise<void> {
  assert.ok(steps.length > 1, "a file has steps");
  const callback = new CallbackWire();
  const client = new ClientWire(Number(port));
  try {
    const callbackHost = `127.0.0.1:${await callback.open()}`;
    const names = new Map([
      ["lf", "\n"],
      ["hub", hub.url],
      ["host", host],
      ["callbackHost", callbackHost],
      ["callbackHostEncoded", encodeURIComponent(callbackHost)],
      // Topics of one file are no other file's.
      ["file", file.replace(/\W/g, "-")],
    ]);
    for (const { title, direction, bytes } of steps) {
      const expected = fill(bytes, names);
      if (direction === "to hub") await client.write(expected);
      else if (direction === "from callback") callback.write(expected);
      else {
        const wire = direction === "from hub" ? client : callback;
        check(title, expected, await wire.read(), direction === "from hub", names);
      }
    }
    // The topic may be deregistered before the hub has folded the yes to the unsubscribe: then the subscription ends with a notice.
    assert.deepEqual(callback.unread.filter((request) => !request.includes("hub.mode=denied")), []);
    assert.equal(client.connections, expectedConnections(steps), "the hub keeps the connections that the client keeps");
  } finally {
    client.close();
    callback.close();
  }
}

/** Compares what came with what the file says, and learns what the file has no word for. All headers of an answer count. */
function check(title: string, expected: string, found: string, isAnswer: boolean, names: Map<string, string>): void {
  const [want, got] = [parseMessage(expected), parseMessage(found)];
  const compare = (what: string, pattern: string, value: string | undefined) => {
    const learned = value === undefined ? undefined : match(pattern, value);
    if (learned === undefined) assert.fail(`${title}: ${what} is ${value}, and not ${pattern}; all of it:\n${found}`);
    for (const [name, text] of learned) names.set(name, text);
  };
  compare("the first line", want.first, got.first);
  for (const [name, pattern] of want.headers) compare(name, pattern, got.headers.get(name));
  compare("the body", want.body, got.body);
  if (!isAnswer) return;
  const others = [...got.headers.keys()].filter((name) => !want.headers.has(name) && !TRANSPORT.includes(name));
  assert.deepEqual(others, [], `${title}: headers that are not in the file`);
}

function expectedConnections(steps: readonly Step[]): number {
  const requests = steps.filter(({ direction }) => direction === "to hub");
  return 1 + requests.slice(0, -1).filter(({ bytes }) => /^connection: close/im.test(bytes)).length;
}
