// An edge on real workerd in front of a fake core.
import { freePort } from "../free-port.ts";
import { createTierProcess, type TierProcess } from "../hub/tier-process.ts";
import { EDGE_KEY } from "../keys.ts";
import { connect, type Socket } from "node:net";
import { call } from "../servers/http.ts";
import { type FakeCore, openFakeCore } from "./fake-core.ts";

export interface WorkerEdge extends AsyncDisposable {
  readonly core: FakeCore;
  readonly process: TierProcess;
  readonly url: string;
  readonly port: number;
  output(): string;
  /** A figure of /metrics, by the beginning of its line. */
  metric(line: string): Promise<number>;
  /** Sends a request's head, and `body` after it. The result breaks the connection off (RST), as a client that is lost. */
  begin(head: string, body?: Uint8Array): Promise<() => void>;
}

/** `settings` by their full names, added to what reaches the core. */
export async function openWorkerEdge(settings: Readonly<Record<string, string>> = {}): Promise<WorkerEdge> {
  const core = await openFakeCore();
  const port = await freePort();
  const url = `http://127.0.0.1:${port}`;
  let output = "";
  const process = createTierProcess("edge", {
    runtime: "workerd",
    url,
    settings: {
      TIDINGS_EDGE_LISTEN: `127.0.0.1:${port}`,
      TIDINGS_HUB_URL: `${url}/hub`,
      TIDINGS_CORE_URL: core.origin,
      TIDINGS_EDGE_KEY: JSON.stringify(EDGE_KEY),
      TIDINGS_LOG_LEVEL: "warning",
      ...settings,
    },
    note: (part) => output += part,
    output: () => output,
  });
  await process.start();
  return {
    core,
    process,
    url,
    port,
    output: () => output,
    metric: async (line) => {
      const { text } = await call(`${process.operatingUrl}/metrics`);
      const found = text.split("\n").find((written) => written.startsWith(line));
      return Number(found?.split(" ").at(-1) ?? 0);
    },
    begin: (head, body) => begin(port, head, body),
    [Symbol.asyncDispose]: async () => {
      await process.stop();
      await core.close();
    },
  };
}

function begin(port: number, head: string, body: Uint8Array = new Uint8Array(0)): Promise<() => void> {
  return new Promise((resolve, reject) => {
    const socket: Socket = connect(port, "127.0.0.1", () => {
      socket.write(`${head}\r\nHost: 127.0.0.1\r\n\r\n`);
      socket.write(body, () => resolve(() => void socket.resetAndDestroy()));
    });
    socket.on("error", reject);
  });
}
