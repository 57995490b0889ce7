// A publisher's site under test control: the hub can fetch its topics. Each has its own document and records its requests.

import { openRecordingServer } from "./recording-server.ts";
import type { Recorded, Responder } from "./recording-server.ts";

export interface TopicDocument {
  readonly status?: number;
  readonly body: string | Uint8Array;
  readonly contentType?: string;
  /** More headers, sent as they stand. `link` replaces the advertisement of the hub and of the topic itself. */
  readonly headers?: Readonly<Record<string, string>>;
}

export interface Topic {
  readonly url: string;
  /** Every request for it, in order of arrival. */
  readonly fetches: readonly Recorded[];
  /** Sets the document that a GET yields. Its Link header advertises the hub and the topic (§4) unless told otherwise. */
  serve(document: TopicDocument): void;
  /** Sets the whole answer. */
  respond(responder: Responder): void;
}

export interface TopicServer {
  readonly origin: string;
  /** A new topic. `path` is kept as given (default a unique one); `aliases` are further paths of the same document. */
  topic(options?: { readonly path?: string; readonly aliases?: readonly string[] }): Topic;
  close(): Promise<void>;
  [Symbol.asyncDispose](): Promise<void>;
}

/** Opens a topic server on 127.0.0.1 whose topics advertise `hubUrl`. */
export async function openTopicServer(hubUrl: string): Promise<TopicServer> {
  const server = await openRecordingServer();
  let count = 0;
  return {
    origin: server.origin,
    topic: ({ path = `/topic/${count += 1}`, aliases = [] } = {}) => {
      const url = `${server.origin}${path}`;
      const fetches: Recorded[] = [];
      let respond: Responder = documentAt(url, hubUrl, { body: "nothing yet\n" });
      for (const spelling of [path, ...aliases]) {
        server.route(spelling, (request, response) => {
          fetches.push(request);
          return respond(request, response);
        });
      }
      return {
        url,
        fetches,
        serve: (document) => void (respond = documentAt(url, hubUrl, document)),
        respond: (responder) => void (respond = responder),
      };
    },
    close: () => server.close(),
    [Symbol.asyncDispose]: () => server.close(),
  };
}

function documentAt(url: string, hubUrl: string, document: TopicDocument): Responder {
  return (_request, response) => {
    response.writeHead(document.status ?? 200, {
      "content-type": document.contentType ?? "text/plain; charset=utf-8",
      "link": `<${hubUrl}>; rel="hub", <${url}>; rel="self"`,
      ...document.headers,
    });
    response.end(document.body);
  };
}
