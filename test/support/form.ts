// Encodes forms and queries by hand, so that the test decides what goes over the wire.

export type Parameters = Readonly<Record<string, string>> | readonly (readonly [name: string, value: string])[];

/** Encodes parameters as application/x-www-form-urlencoded, spaces as %20. */
export function encodeForm(parameters: Parameters): string {
  const pairs = Array.isArray(parameters)
    ? parameters as readonly (readonly [string, string])[]
    : Object.entries(parameters);
  return pairs.map(([name, value]) => `${encodeURIComponent(name)}=${encodeURIComponent(value)}`).join("&");
}

/** All parameters of a query or form in order, names and values decoded as UTF-8 (`+` is a space). */
export function decodeForm(text: string): [name: string, value: string][] {
  if (text === "") return [];
  const decode = (part: string) => decodeURIComponent(part.replaceAll("+", " "));
  return text.split("&").map((pair) => {
    const at = pair.indexOf("=");
    return at === -1 ? [decode(pair), ""] : [decode(pair.slice(0, at)), decode(pair.slice(at + 1))];
  });
}

/** The last parameter of that name: a hub appends its own to the callback's query (§5.1.1). */
export function parameterOf(text: string, name: string): string | undefined {
  return decodeForm(text).findLast(([found]) => found === name)?.[1];
}
