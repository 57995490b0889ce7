import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { ForbiddenAddressError } from "../../../shared/outbound/guard.ts";
import { NO_ADDRESS, socketReason } from "../../../shared/outbound/socket-reason.ts";

const error = (message: string, code?: string) => Object.assign(new Error(message), code === undefined ? {} : { code });

describe("WIRE §7 what a subscriber may read of a call that failed", () => {
  it("names no address, and reads alike for a name without one and for one that is forbidden", () => {
    const forbidden = new ForbiddenAddressError("internal.example", {
      reason: "private",
      clause: "is private: 10.0.0.5",
    });
    const told = [forbidden, error("getaddrinfo ENOTFOUND internal.example", "ENOTFOUND"), error("x", "EAI_AGAIN")];
    assert.deepEqual(told.map(socketReason), [NO_ADDRESS, NO_ADDRESS, NO_ADDRESS]);
    for (
      const one of [
        error("connect ECONNREFUSED 10.0.0.5:80", "ECONNREFUSED"),
        error("connect EHOSTUNREACH 10.0.0.5:80", "EHOSTUNREACH"),
        error("tcp connect error: 10.0.0.5:80"),
        error("tcp connect error: fd00::17"),
        error("", "ETIMEDOUT"),
      ]
    ) assert.doesNotMatch(socketReason(one), /10\.|fd00/);
  });

  it("says what a subscriber can mend", () => {
    assert.equal(
      socketReason(error("self-signed certificate", "DEPTH_ZERO_SELF_SIGNED_CERT")),
      "DEPTH_ZERO_SELF_SIGNED_CERT",
    );
    assert.equal(socketReason(error("connect", "ECONNREFUSED")), "connection refused");
    assert.equal(socketReason(error("more than 100 early answers")), "more than 100 early answers");
  });
});
