import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { CONTENT_HEAD_MAX_BYTES, type ContentHead, frameContent, openFrame } from "../../shared/content-frame.ts";

const HEAD: ContentHead = { id: "msg_1", madeAt: 1, topic: "日本 “topic”", contentType: "text/plain" };

describe("content between the tiers", () => {
  it("is opened as it was framed, wherever the frame lies in memory", () => {
    for (const body of [new Uint8Array(0), Uint8Array.from({ length: 256 }, (_, byte) => byte)]) {
      const frame = frameContent(HEAD, body);
      const elsewhere = Buffer.concat([Buffer.from("before"), frame, Buffer.from("after")]);
      const view = elsewhere.subarray(6, 6 + frame.length);
      for (const one of [frame, view]) {
        const { head, body: opened } = openFrame(one)!;
        assert.deepEqual(head, HEAD);
        assert.ok(Buffer.from(opened).equals(body));
      }
    }
  });

  it("is refused if it is cut in its head, if the head is not JSON in UTF-8, or if it claims too long a head", () => {
    const frame = frameContent(HEAD, new Uint8Array(0));
    for (let length = 0; length < frame.length; length++) assert.equal(openFrame(frame.subarray(0, length)), undefined);
    assert.equal(openFrame(Uint8Array.of(0, 0, 0, 2, 0x22, 0xff)), undefined);
    assert.equal(openFrame(Uint8Array.of(0, 0, 0, 1, 0x7b)), undefined);
    assert.equal(openFrame(Uint8Array.of(255, 255, 255, 255, 0x7b, 0x7d)), undefined);
    const long = frameContent({ ...HEAD, contentType: "x".repeat(CONTENT_HEAD_MAX_BYTES) }, new Uint8Array(0));
    assert.equal(openFrame(long), undefined);
  });
});
