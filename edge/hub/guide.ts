// What GET on the hub endpoint says (405): a sentence for machines, a short page for people with a browser.

/** Whether an Accept header prefers HTML to plain text. */
export function prefersHtml(accept: string | null): boolean {
  if (accept === null) return false;
  return quality(accept, "text/html", "text/*") > quality(accept, "text/plain", "text/*");
}

/** A page on how to subscribe and publish. */
export function guidePage(hubUrl: string): string {
  const hub = escapeHtml(hubUrl);
  return `<!doctype html>
<html lang="en">
<meta charset="utf-8">
<meta name="viewport" content="width=device-width">
<title>A WebSub hub</title>
<style>body { font: 1rem/1.5 system-ui, sans-serif; max-width: 42rem; margin: 3rem auto; padding: 0 1rem }
pre { overflow-x: auto; padding: 1rem; background: #8882 }</style>
<h1>This is a WebSub hub</h1>
<p>It takes POST requests. To subscribe a callback to a topic:</p>
<pre>curl ${hub} --data-urlencode hub.mode=subscribe \\
  --data-urlencode hub.topic=TOPIC \\
  --data-urlencode hub.callback=https://example.com/callback</pre>
<p>The hub then asks the callback by GET whether it wants this; it must answer with the value of <code>hub.challenge</code>.
To publish:</p>
<pre>curl '${hub}?hub.mode=publish&amp;hub.topic=TOPIC' \\
  -H 'Content-Type: application/json' -d '{"hello": "world"}'</pre>
<p>The protocol is <a href="https://www.w3.org/TR/websub/">W3C WebSub</a>.</p>
</html>
`;
}

function quality(accept: string, type: string, range: string): number {
  let best = { specificity: -1, q: 0 };
  for (const part of accept.split(",")) {
    const end = part.indexOf(";");
    const name = (end === -1 ? part : part.slice(0, end)).trim().toLowerCase();
    const specificity = [`*/*`, range, type].indexOf(name);
    // Few parts come further.
    if (specificity <= best.specificity) continue;
    const q = part.split(";").slice(1).map((parameter) => parameter.trim().toLowerCase())
      .find((parameter) => parameter.startsWith("q="));
    best = { specificity, q: q === undefined ? 1 : Number(q.slice(2)) || 0 };
  }
  return best.q;
}

function escapeHtml(text: string): string {
  const entities: Record<string, string> = { "&": "&amp;", "<": "&lt;", ">": "&gt;", '"': "&quot;", "'": "&#39;" };
  return text.replace(/[&<>"']/g, (character) => entities[character]!);
}
