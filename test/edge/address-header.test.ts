import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { runChild } from "../support/hub/child.ts";

describe("ADDRESS_HEADER", () => {
  it("is refused at the start of a process that is not told which proxies are believed", async () => {
    await using child = runChild(new URL("../../edge/main.ts", import.meta.url), {
      settings: { TIDINGS_ADDRESS_HEADER: "CF-Connecting-IP", TIDINGS_EDGE_LISTEN: "127.0.0.1:0" },
    });
    assert.equal((await child.ended).code, 1);
    assert.match(
      child.stderr(),
      /^tidings edge: TIDINGS_ADDRESS_HEADER is set, so TIDINGS_TRUSTED_PROXIES must say .*\n$/m,
    );
  });
});
