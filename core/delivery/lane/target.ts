// A lane's target: where its requests go, and the part of them that never changes. Both follow from the topic and the callback. They
// are made when the lane sends and kept for a bounded number of lanes, so that a million quiet lanes hold none of it.
import type { Asking } from "../../../shared/core-api.ts";
import { type HttpUrl, parseHttpUrl } from "../../../shared/http-url.ts";
import { linkTarget } from "../../../shared/request-head.ts";
import { hostOf } from "../../../shared/shares/host-of.ts";
import { requesterOf } from "../../../shared/shares/requester.ts";
import type { SignatureMethod } from "../../../shared/signature-methods.ts";
import type { Signer, Signing } from "../../keys/signers.ts";

export interface Target extends Addressed {
  readonly url: HttpUrl;
  /** The `Link` header, one line: hub and canonical topic (§7). */
  readonly link: string;
  /** undefined: the subscription has no secret, and nothing is signed (H66). */
  readonly signer: Signer | undefined;
  /** How X-Hub-Signature is made; undefined: as the hub does by default. */
  readonly signature: SignatureMethod | undefined;
  /** Who subscribed, and the host of the callback, as shares are counted (ARCHITECTURE §4). */
  readonly requester: string;
  readonly host: string;
}

/** The parts of a subscription that its requests are made from, and who asked for it. */
export interface Recipient extends Asking {
  readonly topic: string;
  /** An http(s) URL that can be called. */
  readonly callback: string;
  /** Sealed (ARCHITECTURE §5); undefined: nothing is signed. */
  readonly secret?: string | undefined;
  readonly signature?: SignatureMethod | undefined;
}

export interface TargetOptions {
  readonly addresses: Addresses;
  readonly subscriptionId: string;
  /** The subscription as it is now. Called when a request is made and its address is not kept. */
  readonly recipientOf: (subscriptionId: string) => Recipient;
}

/** The target of a subscription. Its address is made at its first attempt; the callback must be one that can be called. */
export function createTarget(options: TargetOptions): Target {
  return new LazyTarget(options);
}

/** The target and the signer of one lane, in one object. It holds nothing that can be made again. */
class LazyTarget implements Target, Signer {
  readonly subscriptionId: string;
  address: Address | undefined;
  signing: Signing | undefined;
  readonly #addresses: Addresses;
  readonly #recipientOf: TargetOptions["recipientOf"];

  constructor({ addresses, subscriptionId, recipientOf }: TargetOptions) {
    this.#addresses = addresses;
    this.#recipientOf = recipientOf;
    this.subscriptionId = subscriptionId;
  }

  get recipient(): Recipient {
    return this.#recipientOf(this.subscriptionId);
  }
  get sealed(): string {
    return this.recipient.secret ?? "";
  }
  get url(): HttpUrl {
    return this.#addresses.of(this).url;
  }
  get link(): string {
    return this.#addresses.of(this).link;
  }
  get signer(): Signer | undefined {
    return this.#addresses.of(this).isSigned ? this : undefined;
  }
  get signature(): SignatureMethod | undefined {
    return this.#addresses.of(this).signature;
  }
  get requester(): string {
    return this.#addresses.of(this).requester;
  }
  get host(): string {
    return this.#addresses.of(this).host;
  }
}

/** Where a lane's requests go, their `Link` header, whether and how they are signed, and whose they are. */
export interface Address extends Pick<Target, "url" | "link" | "signature" | "requester" | "host"> {
  readonly isSigned: boolean;
}

/** An object whose address is made and kept here. */
export interface Addressed {
  readonly recipient: Recipient;
  address: Address | undefined;
}

/** The most addresses that are kept, about 10 MB. */
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
    const { recipient } = lane;
    const { topic, callback, secret, signature } = recipient;
    const url = parseHttpUrl(callback);
    lane.address = {
      url,
      link: `${this.#hub}<${linkTarget(topic)}>; rel="self"`,
      isSigned: secret !== undefined,
      signature,
      requester: requesterOf(recipient),
      host: hostOf(url.host),
    };
    if (this.#kept.length < this.#most) this.#kept.push(lane);
    else {
      // A random one leaves, not the oldest: a message for more lanes than this would always evict the lane that is next.
      const at = Math.floor(this.#random() * this.#most);
      this.#kept[at]!.address = undefined;
      this.#kept[at] = lane;
    }
    return lane.address;
  }
}
