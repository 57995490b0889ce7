import { createServer } from "node:http";
import { openOwnHub } from "./test/support/hub/hub.ts";
import { post, statusOf } from "./test/support/hub/hub-client.ts";
const [what = "slow", count = "300", takes = "4000"] = process.argv.slice(2);
const N = Number(count), MS = Number(takes);
const server = createServer((req, res) => {
  const challenge = new URL(req.url!, "http://x").searchParams.get("hub.challenge") ?? "";
  const slow = req.url!.startsWith("/slow");
  setTimeout(() => res.end(challenge), slow ? MS : 5);
});
server.listen(0, "127.0.0.1"); await new Promise((r) => server.once("listening", r));
const port = (server.address() as any).port;
const hub = await openOwnHub({ settings: { TIDINGS_TRUSTED_PROXIES: "127.0.0.0/8", TIDINGS_REQUESTS_PER_ADDRESS: "0", TIDINGS_LOG_LEVEL: "error", ...(what === "public" ? { TIDINGS_ACCESS: "public" } : {}) } });
const sub = async (topic: string, path: string, addr: string, host = "127.0.0.1") =>
  (await post(hub, { "hub.mode": "subscribe", "hub.topic": topic, "hub.callback": `http://${host}:${port}${path}`, "hub.secret": "s" }, { "x-forwarded-for": addr })).status;
const t0 = performance.now(); const el = () => ((performance.now() - t0) / 1000).toFixed(1);
if (what === "public") {
  console.log("status", await sub("t", "/fast", "10.0.0.1", process.argv[5] ?? "localhost"));
  const b = performance.now(); await hub.stop("edge"); console.log("edge stop ms", performance.now() - b);
  const c = performance.now(); await hub.stop("core"); console.log("core stop ms", performance.now() - c);
  await hub.close(); server.close(); process.exit(0);
}
const codes: Record<number, number> = {};
const accepted: number[] = [];
await Promise.all(Array.from({ length: 16 }, async (_, w) => { for (let n = w; n < N; n += 16) { const s = await sub(`feed ${n}`, `/slow/${n % 7}`, "10.0.0.66"); codes[s] = (codes[s] ?? 0) + 1; if (s === 202) accepted.push(n); } }));
console.log(el(), "asked", codes);
if (what === "kill") {
  for (let n = 0; n < 20; n++) await sub(`good ${n}`, `/slow/good`, "10.0.0.1");
  await hub.kill("edge"); console.log(el(), "edge killed"); await hub.start("edge"); console.log(el(), "edge is back");
}
const state = async () => {
  let active = 0, failed = 0, none = 0, good = 0; const why = new Set();
  for (const n of accepted) {
    const s = await statusOf(hub, `feed ${n}`, `http://127.0.0.1:${port}/slow/${n % 7}`);
    if (s?.state === "active") active++; else if (s) { failed++; why.add((s as any).lastVerification?.reason); } else none++;
  }
  if (what === "kill") for (let n = 0; n < 20; n++) if ((await statusOf(hub, `good ${n}`, `http://127.0.0.1:${port}/slow/good`))?.state === "active") good++;
  console.log(el(), { active, failed, none, good, why: [...why] });
  return none;
};
while (await state() > 0 && performance.now() - t0 < 150_000) await new Promise((r) => setTimeout(r, 8000));
await hub.close(); server.close(); process.exit(0);
