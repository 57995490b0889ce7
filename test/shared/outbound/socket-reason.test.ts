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

describe("WIRE §5 what the answer's sender can mend", () => {
  it("has a sentence for each error of the parser, by its code, or by what llhttp said where undici leaves the code out", () => {
    const said = (text: string) => socketReason(error(`Response does not match the HTTP/1.1 protocol (${text})`));
    assert.match(said("Invalid character in chunk size"), /does not begin with its size/);
    assert.match(said("Expected LF after chunk data"), /does not end where its size says/);
    assert.match(said("Content-Length can't be present with Transfer-Encoding"), /send one/);
    assert.match(said("Invalid character in Content-Length"), /send decimal digits alone/);
    assert.match(said("Unexpected whitespace after header value"), /each header in one line/);
    assert.match(said("Expected HTTP/, RTSP/ or ICE/"), /does not begin with HTTP\/1\.1/);
    assert.match(said("Invalid header value char"), /a character that no header may have/);
    assert.equal(said("something new"), "the answer is not HTTP/1.1 as RFC 9112 has it");
    assert.equal(socketReason(error("x", "HPE_INVALID_CHUNK_SIZE")), said("Invalid character in chunk size"));
    assert.match(socketReason(error("x", "UND_ERR_HEADERS_OVERFLOW")), /more than 64 KiB of headers/);
    assert.match(socketReason(error("x", "UND_ERR_RES_CONTENT_LENGTH_MISMATCH")), /not as long as its Content-Length/);
  });
});
