// Reads cases as lines of JSON, {"chunks": [base64, ...]}, and answers each with the events that
// eventsource-parser finds, as one line of JSON. Bytes are decoded as a client's TextDecoderStream
// does, so a character may be split over chunks.
import { createInterface } from "node:readline";
import { createParser } from "eventsource-parser";

for await (const line of createInterface({ input: process.stdin, crlfDelay: Infinity })) {
  const events = [];
  const errors = [];
  const parser = createParser({
    onEvent: ({ event, data, id }) => events.push({ event: event ?? null, data, id: id ?? null }),
    onError: (error) => errors.push(String(error)),
    onRetry: (retry) => events.push({ retry }),
    onComment: (comment) => events.push({ comment }),
  });
  const decoder = new TextDecoder("utf-8", { fatal: true });
  for (const chunk of JSON.parse(line).chunks) {
    parser.feed(decoder.decode(Buffer.from(chunk, "base64"), { stream: true }));
  }
  parser.feed(decoder.decode());
  process.stdout.write(JSON.stringify({ events, errors }) + "\n");
}
