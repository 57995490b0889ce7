// The links that a fetched topic advertises: its hubs and its canonical URL (§4), for the `Link` header of its deliveries (§7).
import { isHttpUrl } from "../../shared/identity.ts";
import { linkTarget } from "../../shared/request-head.ts";

export interface Advertised {
  readonly hubs: readonly string[];
  readonly self: string | undefined;
}

const SCANNED_BYTES = 64 * 1024;
/** Reads the Link header, else the link elements of an HTML or XML document. Only http(s); `base` resolves relative URLs. */
export function advertisedLinks(
  { link, contentType, body, base }: {
    link: string | undefined;
    contentType: string;
    body: Uint8Array;
    base: string;
  },
): Advertised {
  const inHeader = link === undefined ? [] : headerLinks(link);
  const headerOf = (rel: string) => inHeader.filter(({ rels }) => rels.includes(rel));
  // §4: the header comes first; the document gives what the header lacks.
  const isComplete = headerOf("hub").length > 0 && headerOf("self").length > 0;
  const inDocument = isComplete || !/xml|html/i.test(contentType) ? [] : documentLinks(body);
  const urls = (rel: string) => {
    const links = headerOf(rel);
    const chosen = links.length > 0 ? links : inDocument.filter(({ rels }) => rels.includes(rel));
    return chosen.map(({ href }) => resolve(href, base)).filter((url) => url !== null);
  };
  return { hubs: [...new Set(urls("hub"))], self: urls("self")[0] };
}

export interface LinkHeaderOptions {
  readonly hubUrl: string;
  readonly topic: string;
  /** The most characters of the topic's own part of the header, as of all that comes with a message (WIRE §3). */
  readonly most: number;
}

/**
 * The `Link` header of a delivery; undefined if the topic advertises nothing: then the lane's own `Link` is right. What does not fit is
 * left out: the canonical URL gives way to the topic's, then the last hubs go.
 */
export function linkHeader({ hubs, self }: Advertised, { hubUrl, topic, most }: LinkHeaderOptions): string | undefined {
  if (hubs.length === 0 && self === undefined) return undefined;
  const named = linkTarget(topic);
  const advertised = linkTarget(self ?? topic);
  const canonical = advertised.length <= Math.max(named.length, most) ? advertised : named;
  let left = most - canonical.length;
  const links: string[] = [];
  for (const hub of hubs) {
    const link = `<${linkTarget(hub)}>; rel="hub"`;
    left -= link.length + ", ".length;
    if (left < 0) break;
    links.push(link);
  }
  // The hub's own link and the words around are among the hub's own headers.
  if (links.length === 0) links.push(`<${linkTarget(hubUrl)}>; rel="hub"`);
  links.push(`<${canonical}>; rel="self"`);
  return links.join(", ");
}

interface FoundLink {
  readonly href: string;
  readonly rels: readonly string[];
}

/**
 * The links of a header. Each parameter is a match of its own: one expression for all of them takes the square of their number in Bun's engine.
 */
function headerLinks(header: string): FoundLink[] {
  const links: FoundLink[] = [];
  const targets = /<([^<>]*)>/g;
  const parameter = /\s*;\s*([^\s;,="]+)(?:\s*=(?:\s*(?:"([^"]*)"|([^\s;,"]+)))?)?/y;
  for (let target = targets.exec(header); target !== null; target = targets.exec(header)) {
    const parameters = new Map<string, string>();
    parameter.lastIndex = targets.lastIndex;
    for (let found = parameter.exec(header); found !== null; found = parameter.exec(header)) {
      targets.lastIndex = parameter.lastIndex;
      const [, name = "", quoted, plain] = found;
      // RFC 8288 §3.3: the first `rel` counts.
      const key = name.toLowerCase();
      if (!parameters.has(key)) parameters.set(key, quoted ?? plain ?? "");
    }
    // RFC 8288 §3.2: a link with an anchor describes another document.
    if (!parameters.has("anchor")) links.push({ href: target[1]!.trim(), rels: words(parameters.get("rel")) });
  }
  return links;
}

/** The part of a document that describes it: without comments, literal text, and a feed's entries, whose links are their own. */
function headOf(text: string): string {
  const visible = without(without(text, "<!--", "-->"), "<![CDATA[", "]]>");
  const entry = /<(?:[A-Za-z][\w.-]*:)?(?:entry|item)\b/i.exec(visible);
  return entry === null ? visible : visible.slice(0, entry.index);
}

function without(text: string, open: string, close: string): string {
  const parts: string[] = [];
  let from = 0;
  for (let at = text.indexOf(open); at >= 0; at = text.indexOf(open, from)) {
    parts.push(text.slice(from, at));
    const end = text.indexOf(close, at + open.length);
    if (end < 0) return parts.join("");
    from = end + close.length;
  }
  return parts.join("") + text.slice(from);
}

function documentLinks(body: Uint8Array): FoundLink[] {
  const text = headOf(new TextDecoder().decode(body.subarray(0, SCANNED_BYTES)));
  const links: FoundLink[] = [];
  for (const [, attributes = ""] of text.matchAll(/<(?:[A-Za-z][\w.-]*:)?link\b([^<>]*)>/gi)) {
    const href = attribute(attributes, "href");
    if (href !== undefined) links.push({ href: href.trim(), rels: words(attribute(attributes, "rel")) });
  }
  return links;
}

/** The value of the first attribute of this name in what stands between `<link` and `>`. */
function attribute(text: string, wanted: string): string | undefined {
  for (const [, name = "", quoted, single, plain] of text.matchAll(ATTRIBUTE)) {
    if (name.toLowerCase() !== wanted) continue;
    return (quoted ?? single ?? plain)?.replaceAll("&amp;", "&").replaceAll("&#38;", "&");
  }
  return undefined;
}

const ATTRIBUTE = /([^\s"'<>=]+)(?:\s*=\s*(?:"([^"]*)"|'([^']*)'|([^\s"'<>]+)))?/g;

function words(text: string | undefined): string[] {
  return (text ?? "").toLowerCase().split(/\s+/).filter((word) => word !== "");
}

/** The URL of a link. An absolute one is repeated byte for byte. */
function resolve(href: string, base: string): string | null {
  if (isHttpUrl(href)) return href;
  try {
    const url = new URL(href, base).href;
    return isHttpUrl(url) ? url : null;
  } catch {
    return null;
  }
}
