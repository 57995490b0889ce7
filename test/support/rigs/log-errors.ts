// Writes the log lines of strange errors to stdout, without the places where they were thrown.
import type { LogRecord } from "@logtape/logtape";
import { formatterFor } from "../../../shared/runtime/log-lines.ts";

export const SECRET = "s3cr3t-marked";

function throwing(name: string): Error {
  return Object.defineProperty(new Error("its own"), name, {
    get: () => {
      throw new Error("a getter that throws");
    },
  });
}

function cyclic(): Error {
  const error = new Error("outer");
  error.cause = new Error("inner", { cause: error });
  return error;
}

function chain(length: number): Error {
  return length === 0 ? new Error("the last") : new Error(`level ${length}`, { cause: chain(length - 1) });
}

function suppressed(): Error {
  return Object.assign(new Error("two at once"), {
    name: "SuppressedError",
    error: new Error("later"),
    suppressed: "earlier",
  });
}

function parsing(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch (error) {
    // Each runtime has its own words for this.
    return Object.assign(error as Error, { stack: "" });
  }
}

/** What was thrown, by what it shows. */
export const THROWN: Readonly<Record<string, unknown>> = {
  plain: new TypeError("it failed"),
  code: Object.assign(new Error("connect"), { code: "ECONNREFUSED" }),
  cause: new Error("fetch failed", { cause: Object.assign(new Error(""), { code: "EHOSTUNREACH" }) }),
  "cause that is told already": new Error("GET http://a: reset", {
    cause: new Error("reset", { cause: new TypeError("deeper") }),
  }),
  "text as a cause": new Error("outer", { cause: "a text" }),
  "object as a cause": new Error("outer", { cause: { message: "like an error", code: 7, secret: SECRET } }),
  aggregate: new AggregateError([new Error("one"), "two", new RangeError("three")], "all failed"),
  "many errors": new AggregateError(Array.from({ length: 1_000 }, (_, index) => new Error(`e${index}`)), "many"),
  suppressed: suppressed(),
  cycle: cyclic(),
  "long chain": chain(1_000),
  "huge message": new Error("x".repeat(1_000_000)),
  "half a character": new Error(`${"x".repeat(499)}\u{1f600}`),
  "getter of message": throwing("message"),
  "getter of cause": throwing("cause"),
  "getter of stack": throwing("stack"),
  "getter of name": throwing("name"),
  "no object": 17,
  nothing: undefined,
  null: null,
  symbol: Symbol("s"),
  "no prototype": Object.create(null),
  "lines in the message": new Error('a\n    at forged (file:1:1)\n{"level":"FATAL"}'),
  parser: parsing(`{"hub.secret":${SECRET}`),
  "parser, quoted": new SyntaxError(`Unexpected token 's', "${SECRET} "x"" is not valid JSON`),
  token: new Error(`Authorization: Bearer ${SECRET}, eyJ${SECRET}.${SECRET}.${SECRET}`),
  parameters: new Error(
    `body hub.secret=${SECRET}&hub.verify_token=${SECRET}&access_token=${SECRET} {"password":"${SECRET}"}`,
  ),
  "in a list": [new Error("within"), { deep: new Error("deeper") }],
};

/** Each runtime has its own words for these. */
export const OWN_WORDS: readonly string[] = ["parser"];

const revoked = Proxy.revocable({}, {});
revoked.revoke();

/** The line of a record whose property `error` is this. */
export function lineOf(error: unknown, terminal = false): string {
  const record: LogRecord = {
    category: ["tidings", "test"],
    level: "error",
    message: ["It failed: ", error, ", and so on"],
    rawMessage: "It failed: {error}, and so on",
    properties: { error },
    timestamp: 0,
  };
  return formatterFor(terminal)(record);
}

/** All lines, by what they show, without the places in them. */
export function lines(): Record<string, string> {
  const all = { ...THROWN, revoked: revoked.proxy };
  return Object.fromEntries(
    Object.entries(all).map(([name, error]) => [name, lineOf(error).replace(/(?:\\n {4}at [^\\"]*)+/g, "")]),
  );
}

if (import.meta.main) console.log(JSON.stringify(lines()));
