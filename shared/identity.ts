// When two spellings name the same topic or callback (§5.1.1, WIRE "Words").

const UNRESERVED_ESCAPE = /%(?:2[DEde]|3[0-9]|4[1-9A-Fa-f]|5[0-9Aa]|5[Ff]|6[1-9A-Fa-f]|7[0-9Aa]|7[Ee])/g;
const HTTP_URL = /^https?:\/\//i;

/** Whether a topic or callback is an http(s) URL by its scheme. */
export function isHttpUrl(text: string): boolean {
  return HTTP_URL.test(text);
}

/**
 * The form of a topic or callback that ids and policy are made of: in http(s) URLs the escapes of unreserved characters
 * (`A–Z a–z 0–9 - . _ ~`) are decoded; nothing else is normalised. This form is never shown, echoed or called.
 */
export function identityOf(topicOrCallback: string): string {
  if (!isHttpUrl(topicOrCallback) || !topicOrCallback.includes("%")) return topicOrCallback;
  // §5.1.1: "percent-encoded non-reserved characters" are decoded; escapes such as %2F stay, since they mean something else.
  return topicOrCallback.replace(UNRESERVED_ESCAPE, (escape) => {
    const character = String.fromCharCode(parseInt(escape.slice(1), 16));
    return /[A-Za-z0-9\-._~]/.test(character) ? character : escape;
  });
}
