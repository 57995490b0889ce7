// The pool of look-ups: the hub's outbound client in this process, under a name server that says nothing about the attacker's names. The
// hub's own process would follow the machine's name server.
import { createOutboundGuard } from "../../../shared/outbound/guard.ts";
import { createNames } from "../../../shared/runtime/names/names.ts";
import { createOutbound } from "../../../shared/runtime/outbound.ts";
import { openNameServer, ownFiles } from "../../support/servers/name-server.ts";
import type { AttackReport } from "./attacker.ts";
import type { Pool } from "./pools.ts";

/** The attacker's calls a second, each to a name that nobody answers for. */
const SILENT_PER_SECOND = 50;

export const names: Pool = {
  name: "names",
  everyMs: 500,
  open: async () => {
    const server = await openNameServer(({ name }) =>
      name.includes("silent") ? "silent" : [{ type: "A", data: "127.0.1.1", ttl: 1 }]
    );
    const files = await ownFiles({ resolvConf: "nameserver 127.0.0.1\n" });
    const outbound = createOutbound({
      guard: createOutboundGuard(["127.0.0.0/8"]),
      names: createNames({ ...files, port: server.port }),
      userAgent: "bench",
    });
    const call = (url: string, requester: string) =>
      outbound.call({ path: "fetch", method: "GET", url, requester, deadlineMs: 12_000, maxBytes: 1_000 });
    return {
      settings: {},
      call: async (url, requester) => (await call(url, requester)).kind === "answer",
      attack: () => {
        let count = 0;
        const timer = setInterval(
          () => void call(`http://silent${count++}.test/`, "attacker"),
          1_000 / SILENT_PER_SECOND,
        );
        return () => {
          clearInterval(timer);
          return Promise.resolve({ answers: {}, refused: 0, told: 0 } satisfies AttackReport);
        };
      },
      close: async () => {
        await outbound.close();
        await server[Symbol.asyncDispose]();
        await files[Symbol.asyncDispose]();
      },
    };
  },
  // Each time a name that is not known yet.
  ready: ({ n, site }, { call }) =>
    Promise.resolve(async (nth) => {
      const begun = performance.now();
      const url = `http://good${n}-${nth}-${process.hrtime.bigint()}.good${n}.test:${site.port}/well/`;
      return await call!(url, `good ${n}`) ? performance.now() - begun : "refused";
    }),
};
