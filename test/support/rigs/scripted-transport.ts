// A delivery transport that writes down what it is asked to send and answers as it is told.
import type { Post, Transport } from "../../../core/delivery/sending/transport.ts";

export interface SentPost {
  readonly post: Post;
  /** The callback's path and query. */
  readonly target: string;
  /** The body as text. */
  readonly text: string;
  readonly id: string;
  header(name: string): string | undefined;
}

/** What to answer: a status, a failure's reason, or nothing yet (the test answers by `post`). */
export type Answer = number | { readonly failed: string } | "hold";

export interface ScriptedTransport extends Transport {
  /** In the order in which they were sent. */
  readonly posts: SentPost[];
  answer: (sent: SentPost) => Answer;
  /** The bodies sent to a path, in order. */
  to(target: string): string[];
}

export function createScriptedTransport(answer: (sent: SentPost) => Answer = () => 204): ScriptedTransport {
  const transport: ScriptedTransport = {
    posts: [],
    answer,
    to: (target) => transport.posts.filter((sent) => sent.target === target).map(({ text }) => text),
    post(post) {
      const header = (name: string) => {
        const at = post.headers.findIndex((text, index) => index % 2 === 0 && text === name);
        return at < 0 ? undefined : post.headers[at + 1];
      };
      const { target } = post.url;
      const sent = { post, target, text: post.body.toString(), id: header("webhook-id") ?? "", header };
      transport.posts.push(sent);
      const answer = transport.answer(sent);
      if (answer === "hold") return;
      // As on a socket: never in the step that sends.
      queueMicrotask(() => typeof answer === "number" ? post.answered(answer, undefined) : post.failed(answer.failed));
    },
    close: () => Promise.resolve(),
  };
  return transport;
}
