// How requests and answers stand on a connection: each has its size before it, then a header, then its body.
import { NotAdmitted } from "./kafka-error.ts";
import type { KafkaRequest } from "./request.ts";
import { Writer } from "./wire.ts";

/** The size and the header that go before a body of these parts. */
export function frameHead(
  { apiKey, apiVersion }: KafkaRequest<unknown>,
  correlationId: number,
  clientId: string,
  body: readonly Uint8Array[],
): Buffer {
  const header = new Writer(64).int16(apiKey).int16(apiVersion).int32(correlationId).string(clientId);
  const size = body.reduce((sum, part) => sum + part.byteLength, header.length);
  return new Writer(4 + header.length).int32(size).raw(header.take()).take();
}

// The largest answer is a fetch: it is bounded by what was asked for, or by one batch.
const ANSWER_MAX_BYTES = 256 * 1024 * 1024;
/** The first bytes of a TLS alert or handshake. Read as a size, they are larger than any answer. */
const TLS_RECORD = /^(?:15|16)03/;

/**
 * Cuts the stream of bytes into answers: size, correlation id, body.
 * @param plain the connection does not use TLS
 */
export function createAnswers(
  onAnswer: (correlationId: number, body: Buffer) => void,
  plain: boolean,
): (chunk: Buffer) => void {
  let chunks: Buffer[] = [];
  let buffered = 0;
  let needed = 4;
  return (chunk) => {
    chunks.push(chunk);
    buffered += chunk.length;
    while (buffered >= needed) {
      const bytes = chunks.length === 1 ? chunks[0]! : Buffer.concat(chunks, buffered);
      const size = bytes.readInt32BE(0);
      if (plain && TLS_RECORD.test(bytes.toString("hex", 0, 2))) {
        throw new NotAdmitted("the broker speaks TLS; set TIDINGS_KAFKA_TLS_CA");
      }
      if (size < 4 || size > ANSWER_MAX_BYTES) {
        throw new RangeError(`An answer of ${size} bytes does not come from Kafka`);
      }
      // The chunks are joined again only when the whole answer has arrived.
      needed = 4 + size;
      chunks = [bytes];
      if (buffered < needed) return;
      const rest = bytes.subarray(needed);
      chunks = rest.length === 0 ? [] : [rest];
      buffered = rest.length;
      needed = 4;
      onAnswer(bytes.readInt32BE(4), bytes.subarray(8, 4 + size));
    }
  };
}
