// The real launcher over the two tiers beside this file.
import { launch } from "../../../../shared/runtime/launcher.ts";

process.exit(
  await launch({
    core: new URL("core.ts", import.meta.url),
    edge: new URL("edge.ts", import.meta.url),
    environment: process.env,
    ready: ({ core, edge }) => console.log(`both ready: ${core} ${edge}`),
  }),
);
