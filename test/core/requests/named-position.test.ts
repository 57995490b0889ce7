import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { encodeCursor } from "../../../core/messages/cursor-text.ts";
import {
  AFTER,
  CURSOR,
  FROM,
  HUB_START,
  LAST_EVENT_ID,
  offsetOf,
  parsePosition,
  SINCE,
} from "../../../core/requests/named-position.ts";
import type { NamedPosition, PositionParameter } from "../../../core/requests/named-position.ts";
import { topicIdOf } from "../../../core/state/ids.ts";
import { WRONG_TIMES } from "../../support/wrong-times.ts";

const NOW = Date.UTC(2026, 10, 21, 10, 30, 0);
const TOPIC = { id: topicIdOf("t"), partition: 3 };
const END = 100;
const log = {
  end: () => Promise.resolve(END),
  positionAt: (_stream: string, partition: number, time: number) => Promise.resolve(partition + time),
};
const cursor = (offset: number) => encodeCursor(TOPIC.id, { partition: TOPIC.partition, offset });
const parse = (parameter: PositionParameter, text: string) => parsePosition(parameter, text, TOPIC, NOW);
const refused = (parameter: PositionParameter, text: string, message: RegExp) =>
  assert.throws(() => parse(parameter, text), { code: "invalid_request", message }, text);

describe("WIRE §2 §5 a named position", () => {
  it("has the forms that its parameter takes, and no other", () => {
    const values = { latest: "latest", earliest: "earliest", time: "2026-11-21T10:00:00Z", cursor: cursor(7) };
    for (const parameter of [HUB_START, FROM, SINCE, AFTER, LAST_EVENT_ID, CURSOR]) {
      for (const [kind, text] of Object.entries(values)) {
        if (parameter.forms.some((form) => form === kind)) assert.equal(parse(parameter, text).kind, kind);
        else refused(parameter, text, new RegExp(`^${parameter.name} `));
      }
    }
  });

  it("is refused with what it may be", () => {
    refused(
      HUB_START,
      "?",
      /^hub\.start must be latest, earliest, an ISO-8601 time or a cursor; "\?" is not a cursor/,
    );
    refused(FROM, "?", /^from must be earliest, an ISO-8601 time or a cursor; "\?" is not a cursor of this hub$/);
    refused(SINCE, "?", /^since "\?" must be an ISO-8601 time with Z or an offset$/);
    refused(AFTER, "?", /^after "\?" is not a cursor of this hub$/);
  });

  it("is not a time that has another form or does not exist", () => {
    for (const text of WRONG_TIMES) refused(SINCE, text, /^since /);
  });

  it("may be 5 minutes ahead, and no more", () => {
    assert.deepEqual(parse(SINCE, "2026-11-21T10:35:00Z"), { kind: "time", time: NOW + 300_000 });
    refused(SINCE, "2026-11-21T10:35:00.001Z", /^since .* is in the future$/);
  });

  it("stands for an offset: the end, the start, the first at a time, the one after a cursor's", async () => {
    const positions: readonly [NamedPosition, number][] = [
      [{ kind: "latest" }, END],
      [{ kind: "earliest" }, 0],
      [{ kind: "time", time: 5 }, 8],
      [parse(AFTER, cursor(-1)), 0],
      [parse(AFTER, cursor(END - 1)), END],
    ];
    for (const [position, offset] of positions) assert.equal(await offsetOf(position, TOPIC, log), offset);
  });

  it("is not a cursor beyond the end, as it is now or as it is given", async () => {
    const beyond = { code: "invalid_request", message: "after is beyond the end of the topic" };
    await assert.rejects(offsetOf(parse(AFTER, cursor(END)), TOPIC, log), beyond);
    await assert.rejects(offsetOf(parse(AFTER, cursor(7)), TOPIC, log, 7), beyond);
    assert.equal(await offsetOf(parse(AFTER, cursor(END)), TOPIC, log, END + 1), END + 1);
  });
});
