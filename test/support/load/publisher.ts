// Publishers that go on until a message is accepted, and write down each try.
import { pause } from "../eventually.ts";
import { encodeForm } from "../form.ts";
import { type Message, noteMessage } from "./book.ts";
import { AGAIN_MS, noteRefusal, PATIENCE_MS, post } from "./post.ts";
import type { Random } from "./random.ts";
import type { Session } from "./session.ts";

/** Publishes one message after the other while `running`. */
export async function publishAlong(
  session: Session,
  name: string,
  random: Random,
  running: () => boolean,
): Promise<void> {
  while (running()) {
    await publishUntilAccepted(session, name, random.pick(session.topics), "x".repeat(random.integer(0, 600)));
    await pause(random.integer(4, 20));
  }
}

/** Publishes again after a 503 or a lost connection; every try is a message of its own. @throws {Error} after 90 s */
export async function publishUntilAccepted(
  session: Session,
  name: string,
  topic: string,
  filling = "",
): Promise<Message> {
  const { book } = session;
  const query = encodeForm({ "hub.mode": "publish", "hub.topic": topic });
  const number = session.nextNumber();
  const until = performance.now() + PATIENCE_MS;
  for (let tries = 0;; tries += 1) {
    const key = `${name}.${number}.${tries}`;
    const message = noteMessage(book, key, topic, `${key} ${filling}`, performance.now());
    const reply = await post(session, `?${query}`, "text/plain", message.body);
    if (reply?.status === 200) {
      message.id = reply.id;
      message.ackedAt = performance.now();
      return message;
    }
    noteRefusal(book, `publishing ${key}`, reply, [503]);
    if (performance.now() > until) throw new Error(`Publishing ${key} was not accepted within ${PATIENCE_MS} ms`);
    await pause(AGAIN_MS);
  }
}
