// A subscriber under load: a server on a port of its own with several subscriptions and a manner that changes. It writes
// into the books what came and what it answered.

import { once } from "node:events";
import { createServer, type IncomingMessage, type Server, type ServerResponse } from "node:http";
import type { AddressInfo } from "node:net";
import { pause } from "../eventually.ts";
import { parameterOf } from "../form.ts";
import type { Arrival, Book, Pair, Wish } from "./book.ts";
import type { Manner } from "./manner.ts";
import { readReceipt } from "./receipt.ts";

export interface Subscriber {
  readonly pairs: readonly Pair[];
  manner(): Manner;
  behave(manner: Manner): Promise<void>;
  /** Answers the deliveries that hang with 503. */
  release(): void;
  /** Answers the next delivery of this pair 410, which ends the subscription. */
  leaveSoon(pair: Pair): void;
  /** Takes `leaveSoon` back; false if the 410 was sent already. */
  stay(pair: Pair): boolean;
  close(): Promise<void>;
}

const SLOW_MS = 40;

export async function openSubscriber(
  { name, topics, book, nextWish }: {
    readonly name: string;
    readonly topics: readonly string[];
    readonly book: Book;
    readonly nextWish: () => number;
  },
): Promise<Subscriber> {
  let manner: Manner = "well";
  const hanging = new Set<ServerResponse>();
  const leaving = new Set<Pair>();
  const byPath = new Map<string, Pair>();

  const handle = async (request: IncomingMessage, response: ServerResponse) => {
    response.on("error", () => {});
    const [path = "", query = ""] = (request.url ?? "").split("?", 2);
    const pair = byPath.get(path);
    if (pair === undefined) return void response.writeHead(404).end();
    if (request.method === "GET") return answerChallenge(pair, query, response);
    const parts: Buffer[] = [];
    for await (const part of request) parts.push(part as Buffer);
    const arrival = arrivalOf(book, pair, request, Buffer.concat(parts));
    pair.arrivals.push(arrival);
    await answerDelivery(pair, arrival, response);
  };

  const answerDelivery = async (pair: Pair, arrival: Arrival, response: ServerResponse) => {
    if (leaving.delete(pair)) {
      const gone: Wish = { number: nextWish(), mode: "gone", secret: "", madeAt: arrival.at, answeredAt: [] };
      pair.wishes.push(gone);
    }
    const wish = pair.wishes.at(-1);
    if (wish?.mode === "gone") {
      response.on("finish", () => wish.answeredAt.push(performance.now()));
      return answer(arrival, response, 410);
    }
    switch (manner) {
      case "well":
        return answer(arrival, response, 204);
      case "slow":
        await pause(SLOW_MS);
        return answer(arrival, response, 204);
      case "failing":
        return answer(arrival, response, 500);
      case "refusing":
        return answer(arrival, response, 422);
      case "hanging":
        hanging.add(response);
        response.on("close", () => hanging.delete(response));
        return;
      default:
        response.destroy();
    }
  };

  let server: Server | undefined;
  const listen = async (port: number) => {
    server = createServer({ keepAliveTimeout: 300_000 }, (request, response) => {
      handle(request, response).catch(() => response.destroy());
    });
    server.listen(port, "127.0.0.1");
    await once(server, "listening");
    return (server.address() as AddressInfo).port;
  };
  const hangUp = async () => {
    const closing = server;
    server = undefined;
    if (closing === undefined) return;
    closing.close();
    closing.closeAllConnections();
    await once(closing, "close");
  };
  const port = await listen(0);
  const pairs = topics.map((topic, index): Pair => {
    const callback = `http://127.0.0.1:${port}/${index}`;
    const pair: Pair = { name: `${name}/${index}`, topic, callback, wishes: [], arrivals: [] };
    byPath.set(`/${index}`, pair);
    return pair;
  });
  const release = () => {
    for (const response of hanging) response.writeHead(503).end();
    hanging.clear();
  };
  return {
    pairs,
    manner: () => manner,
    async behave(next) {
      manner = next;
      if (next === "down") await hangUp();
      else if (server === undefined) await listen(port);
    },
    release,
    leaveSoon: (pair) => void leaving.add(pair),
    stay: (pair) => leaving.delete(pair),
    close: hangUp,
  };
}

/** Confirms only the newest wish. */
function answerChallenge(pair: Pair, query: string, response: ServerResponse): void {
  const wish = pair.wishes.at(-1);
  const asked = [parameterOf(query, "hub.mode"), parameterOf(query, "hub.verify_token")];
  if (wish === undefined || asked[0] !== wish.mode || asked[1] !== String(wish.number)) {
    return void response.writeHead(404).end();
  }
  response.on("finish", () => wish.answeredAt.push(performance.now()));
  response.writeHead(200).end(parameterOf(query, "hub.challenge"));
}

function answer(arrival: Arrival, response: ServerResponse, status: number): void {
  response.on("finish", () => {
    arrival.status = status;
    arrival.answeredAt = performance.now();
  });
  response.writeHead(status).end();
}

function arrivalOf(book: Book, pair: Pair, { headers }: IncomingMessage, body: Buffer): Arrival {
  const at = performance.now();
  const text = body.toString("utf8");
  const key = text.split(" ", 1)[0] ?? "";
  const secrets = pair.wishes.filter(({ mode }) => mode === "subscribe").map(({ secret }) => secret);
  const { id, offset, signedWith } = readReceipt(pair.topic, secrets, { headers, body });
  return {
    key,
    id,
    offset,
    intact: book.messages.get(key)?.body === text,
    signedWith,
    at,
    status: undefined,
    answeredAt: undefined,
  };
}
