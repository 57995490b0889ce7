// What of a lane's requests follows from its topic and callback: made when it is sent to, and kept for only so many lanes at
// once, so that a million quiet ones hold none.
import { type HttpUrl, parseHttpUrl } from "../../../shared/http-url.ts";

/** Where a lane's requests go, their `Link` header, one line: hub and canonical topic (§7), and whether they are signed. */
export interface Address {
  readonly url: HttpUrl;
  readonly link: string;
  readonly isSigned: boolean;
}

/** What a subscription's requests are made from. */
export interface Recipient {
  readonly topic: string;
  /** An http(s) URL that can be called. */
  readonly callback: string;
  /** Sealed (ARCHITECTURE §5); none: nothing is signed. */
  readonly secret?: string | undefined;
}

/** Whose address is made and kept here. */
export interface Addressed {
  readonly recipient: Recipient;
  address: Address | undefined;
}

/** About 10 MB. */
const MOST_KEPT = 32_768;

export class Addresses {
  readonly #hub: string;
  readonly #random: () => number;
  readonly #most: number;
  readonly #kept: Addressed[] = [];

  constructor({ hubUrl, random, most = MOST_KEPT }: { hubUrl: string; random: () => number; most?: number }) {
    this.#hub = `<${linkTarget(hubUrl)}>; rel="hub", `;
    this.#random = random;
    this.#most = most;
  }

  of(lane: Addressed): Address {
    if (lane.address !== undefined) return lane.address;
    const { topic, callback, secret } = lane.recipient;
    lane.address = {
      url: parseHttpUrl(callback),
      link: `${this.#hub}<${linkTarget(topic)}>; rel="self"`,
      isSigned: secret !== undefined,
    };
    if (this.#kept.length < this.#most) this.#kept.push(lane);
    else {
      // Any one, not the oldest: of a message for more lanes than this, the oldest would always be the one that is next.
      const at = Math.floor(this.#random() * this.#most);
      this.#kept[at]!.address = undefined;
      this.#kept[at] = lane;
    }
    return lane.address;
  }
}

/** A URI reference as it may stand between angle brackets: what RFC 3986 does not allow is percent-encoded. */
export function linkTarget(uri: string): string {
  return uri.replace(/[^A-Za-z0-9\-._~:/?#[\]@!$&'()*+,;=%]|%(?![0-9A-Fa-f]{2})/gu, (character) => encode(character));
}

function encode(character: string): string {
  return Array.from(Buffer.from(character, "utf8"), (byte) => `%${byte.toString(16).toUpperCase().padStart(2, "0")}`)
    .join("");
}
