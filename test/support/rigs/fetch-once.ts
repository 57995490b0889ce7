// Calls one URL by the runtime's own fetch, and ends well whatever comes of it: `fetch-once.ts URL`.
import process from "node:process";

await fetch(process.argv[2]!).catch(() => {});
