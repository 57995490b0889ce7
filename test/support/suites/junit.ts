// Reads the JUnit reports of Node, Deno and Bun. Deno reports a group of tests as a test beside its members, whose names begin with
// the group's; Node and Bun report groups as suites. Node reports a file without a test as one test that passed, named by its path.

export interface Report {
  /** The names of the tests that passed. */
  readonly passed: readonly string[];
  readonly failed: readonly string[];
  readonly skipped: readonly Skip[];
}

export interface Skip {
  readonly test: string;
  /** Empty where the runtime does not report it. */
  readonly why: string;
}

interface Case {
  readonly name: string;
  readonly outcome: "passed" | "failed" | "skipped";
  readonly why: string;
}

/** A value of an attribute may have `>` in it. */
const CASE = /<testcase\b((?:[^>"]|"[^"]*")*?)(?:\/>|>(.*?)<\/testcase>)/gs;
const SEPARATOR = " > ";
const ENTITIES: Readonly<Record<string, string>> = { lt: "<", gt: ">", amp: "&", quot: '"', apos: "'" };

/** What the tests of a file came to; groups of tests are not counted. */
export function readReport(xml: string, path: string): Report {
  const cases = Array.from(xml.matchAll(CASE), ([, attributes = "", body = ""]): Case => ({
    name: attribute(attributes, "name"),
    outcome: /<(?:failure|error)\b/.test(body) ? "failed" : /<skipped\b/.test(body) ? "skipped" : "passed",
    why: attribute(/<skipped\b((?:[^>"]|"[^"]*")*)>/.exec(body)?.[1] ?? "", "message"),
  }));
  const groups = new Set(cases.flatMap(({ name }) => beginnings(name)));
  const tests = cases.filter(({ name, outcome }) =>
    !groups.has(name) && !(outcome === "passed" && name.endsWith(path))
  );
  return {
    passed: tests.filter(({ outcome }) => outcome === "passed").map(({ name }) => name),
    failed: tests.filter(({ outcome }) => outcome === "failed").map(({ name }) => name),
    skipped: tests.filter(({ outcome }) => outcome === "skipped").map(({ name, why }) => ({ test: name, why })),
  };
}

/** `a > b > c` begins with `a` and `a > b`. */
function beginnings(name: string): string[] {
  const parts = name.split(SEPARATOR);
  return parts.slice(1).map((_, index) => parts.slice(0, index + 1).join(SEPARATOR));
}

function attribute(attributes: string, name: string): string {
  const value = new RegExp(`(?:^|\\s)${name}="([^"]*)"`).exec(attributes)?.[1] ?? "";
  return value.replace(/&(?:#(\d+)|#x([0-9a-f]+)|(\w+));/gi, (whole, decimal?: string, hex?: string, entity = "") => {
    if (decimal !== undefined) return String.fromCodePoint(Number(decimal));
    if (hex !== undefined) return String.fromCodePoint(Number.parseInt(hex, 16));
    return ENTITIES[entity] ?? whole;
  });
}
