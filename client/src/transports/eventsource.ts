/**
 * SSE by the browser's EventSource, where `fetch` cannot stream. It can send no header, so cursor
 * and token are in the query; and it hides why it was refused, which the polls will learn.
 */
import { failure } from "../failure.js";
import { startOf, withParams } from "../source.js";
import { readMessage } from "./message.js";
import type { Transport } from "./transport.js";

export const openEventSource: Transport = (source, link, tell) => {
  const { cursor } = link;
  const Constructor = source.EventSource;
  if (Constructor === undefined) throw new TypeError("There is no EventSource here.");
  const stream = new Constructor(
    withParams(source.urls.stream, {
      ...source.params,
      // Without names, so that `onmessage` gets every event, whatever its type.
      named: "0",
      token: source.token(),
      lastEventId: cursor,
      since: startOf(source, cursor),
    }),
    { withCredentials: source.withCredentials },
  );
  const close = () => {
    stream.onmessage = null;
    stream.onerror = null;
    stream.close();
  };
  stream.onmessage = ({ data, lastEventId }) => tell(readMessage(data, lastEventId || null));
  // It would come back by itself, or never, depending on what it does not tell: we do that.
  stream.onerror = () => {
    close();
    tell({ type: "failed", failure: failure("CLOSED", "The stream failed or ended.") });
  };
  return close;
};
