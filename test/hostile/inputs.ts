// The registry of outside inputs: every parser of what a stranger, a callback, a topic server, a name server or an issuer sends, with the text that
// each is fed by inputs.test.ts. A new parser takes its place here; the test fails without it.

import { CORE_INPUTS } from "./inputs/core.ts";
import { EDGE_INPUTS } from "./inputs/edge.ts";
import { SHARED_INPUTS } from "./inputs/shared.ts";
import type { Input } from "./inputs/input.ts";

export const INPUTS: readonly Input[] = [...EDGE_INPUTS, ...SHARED_INPUTS, ...CORE_INPUTS];

/** Files with parsers that no stranger reaches, with the reason. */
export const NOT_OUTSIDE: Readonly<Record<string, string>> = {
  "core/state/events.ts": "It reads what a core has written to the log.",
  "core/delivery/lane/health.ts": "It reads what a core has written to the log.",
  "core/messages/block.ts": "It reads what a core has written to the log.",
  "core/log/kafka/protocol/record-batch.ts": "It reads what the operator's brokers send.",
  "shared/runtime/names/system-files.ts": "It reads files of the operator's machine.",
  "shared/runtime/workerd/settings.ts": "It reads the operator's settings.",
  "shared/settings/settings.ts": "It reads the operator's settings.",
};

/** What texts are made of: one of these, again and again. */
export const UNITS: readonly string[] = [
  ...Array.from("aAzfe09 \t,;=&%+\"'\\<>[]{}()|.:/-_~@#?*!$^`\u00e9\u00ff\u0080"),
  "%41",
  "%C3%A9",
  "%c3\u00a9",
  "%zz",
  "a=b&",
  "&a",
  '="',
  '=""',
  '" ',
  '\\"',
  "; a",
  ";a=",
  ", a",
  "a ",
  "a.",
  "a:",
  "::",
  "1.",
  "//",
  "../",
  "://",
  "Bearer ",
  "Authorization=",
  "a.a.a,",
  "<a>;",
  "<link ",
  " rel=hub",
  "<!--",
  "<![CDATA[",
  "eyJ.",
  "token=",
  "xn--",
  "\u0301",
  "\u{1f600}",
  "\r\n",
  "\n ",
  "\r\na: b",
  '{"a":',
  '"a",',
];
