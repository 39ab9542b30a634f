/** SSE over `fetch`: it can send headers, and sees what the server answers when it refuses. */
import { createParser } from "eventsource-parser";
import { answerFailure, failure } from "../failure.js";
import { requestOf, startOf, withParams } from "../source.js";
import { readMessage } from "./message.js";
import { abortable } from "./request.js";
import type { Transport } from "./transport.js";

export const openStream: Transport = (source, link, tell) =>
  abortable(tell, async (signal, tell) => {
    const { cursor } = link;
    const response = await source.fetch(
      withParams(source.urls.stream, { ...source.params, since: startOf(source, cursor) }),
      requestOf(
        source,
        source.token(),
        { Accept: "text/event-stream", "Last-Event-ID": cursor },
        signal,
      ),
    );
    if (!response.ok) {
      tell({ type: "failed", failure: await answerFailure(response) });
      return;
    }
    if (
      response.body === null ||
      !response.headers.get("content-type")?.startsWith("text/event-stream")
    ) {
      const detail = "The answer is no stream.";
      tell({ type: "failed", failure: failure("NOT_A_STREAM", detail, "fallback_polling") });
      return;
    }
    const parser = createParser({
      onEvent: ({ data, id }) => tell(readMessage(data, id ?? null)),
      onRetry: (after) => tell({ type: "retry", after }),
    });
    const reader = response.body.getReader();
    // A character may be cut in two by the network.
    const decoder = new TextDecoder();
    for (;;) {
      const { done, value } = await reader.read();
      if (done) break;
      parser.feed(decoder.decode(value, { stream: true }));
    }
    tell({ type: "failed", failure: failure("CLOSED", "The stream ended.") });
  });
