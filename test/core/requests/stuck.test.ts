import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { describeFailure, type Failing } from "../../../core/requests/stuck.ts";

const FAILED = {
  offset: 4,
  id: "msg_x",
  attempts: 60,
  refusals: 0,
  answered5xx: 50,
  answered500: 50,
  firstAt: Date.UTC(2026, 0, 2, 3, 4, 5),
};
const LONG =
  "the callback has answered message msg_x with 5xx 50 times since 2026-01-02T03:04:05.000Z, and the subscription " +
  "waits at it; read it with GET /messages, then mend the callback";
const ACK = "pass the message by POST /subscriptions/ack with its cursor";

describe("WIRE §5 what a status says of a failing subscription", () => {
  const ROWS: readonly (readonly [what: string, failing: Failing, lastError: string | null, isStuck: boolean])[] = [
    ["that is well", { lastError: "", failed: undefined }, null, false],
    ["that failed for a while", { lastError: "timeout", failed: { ...FAILED, answered5xx: 49 } }, "timeout", false],
    ["whose last message was given up", { lastError: "answered 422", failed: undefined }, "answered 422", false],
    [
      "that is answered 500 by one message for long",
      { lastError: "answered 500", failed: FAILED },
      `answered 500: ${LONG}, ${ACK} or let DEAD_LETTER_500_ATTEMPTS make it a dead letter`,
      true,
    ],
    [
      "that is answered 503, which no setting makes a dead letter",
      { lastError: "answered 503", failed: { ...FAILED, answered500: 0 } },
      `answered 503: ${LONG} or ${ACK}`,
      true,
    ],
    [
      "whose last attempt of many failed in another way",
      { lastError: "timeout", failed: FAILED },
      `timeout: ${LONG}, ${ACK} or let DEAD_LETTER_500_ATTEMPTS make it a dead letter`,
      true,
    ],
    ["whose failures a resume has forgotten", { lastError: "", failed: FAILED }, null, false],
    [
      "with a record of a core that did not count",
      {
        lastError: "answered 500",
        failed: { ...FAILED, id: "", answered5xx: 0, answered500: 0 },
      },
      "answered 500",
      false,
    ],
  ];
  for (const [what, failing, lastError, isStuck] of ROWS) {
    it(`one ${what}`, () => {
      const described = describeFailure(failing, 50);
      assert.equal(described.lastError, lastError);
      assert.equal(described.stuck, isStuck ? failing.failed : undefined);
    });
  }
});
