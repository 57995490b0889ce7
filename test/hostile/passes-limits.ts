// Whether a request passes the limit of an address that is over it.
import { exchangeRaw } from "../support/servers/raw-http.ts";

/** The answers of probes, which have no limit. */
const PROBES = new Set(["The edge is up.\n", "The edge is ready.\n", '{"status":"UP"}']);
/** What the server itself says of a request that is none. */
const NO_REQUEST = /^(?:$|The (?:request|Host header|only|HTTP)|invalid URI)/;

/** Its answer, if the edge answers it otherwise than by 429 and it is no probe; undefined if it does not pass. */
export async function passesLimits(port: number, method: string, target: string): Promise<string | undefined> {
  const head = `${method} ${target} HTTP/1.1\r\nHost: 127.0.0.1\r\nX-Address: 203.0.113.7\r\nContent-Length: 0\r\n\r\n`;
  let said = "";
  // An address gets a request a second back, so one of two in turn is refused.
  for (let n = 0; n < 2; n++) {
    const { status, body } = await exchangeRaw(port, head);
    if (status === 0 || status === 429 || PROBES.has(body)) return undefined;
    if (status === 400 && NO_REQUEST.test(body)) return undefined;
    said = `${status} ${body.trim()}`;
  }
  return said;
}
