// What the watch over long answers leaves behind, on real connections.
import { once } from "node:events";
import { createServer, type ServerResponse } from "node:http";
import { type AddressInfo, connect } from "node:net";
import { describe, it } from "node:test";
import { cutStalled } from "../../../shared/runtime/stall.ts";
import { eventually, pause } from "../../support/eventually.ts";

describe("the watch over an answer", () => {
  it("ends with its connection, also for answers that were waiting for their turn", async () => {
    let looks = 0;
    const outgoing: ServerResponse[] = [];
    const server = createServer((incoming, answer) => {
      outgoing.push(answer);
      Object.defineProperty(answer, "writableLength", { get: () => looks++ });
      cutStalled(incoming.socket, answer, 80);
    });
    server.listen(0, "127.0.0.1");
    await once(server, "listening");
    try {
      const client = connect((server.address() as AddressInfo).port, "127.0.0.1");
      client.write("GET / HTTP/1.1\r\nHost: x\r\n\r\n".repeat(5));
      await eventually("the watch of all answers", () => outgoing.length === 5 && looks > 0);
      client.destroy();
      await eventually("the watch to end", async () => {
        const before = looks;
        await pause(100);
        return looks === before;
      }, { deadlineMs: 3_000, seen: () => `${looks} looks` });
    } finally {
      server.close();
    }
  });
});
