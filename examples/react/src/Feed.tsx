import { useRef } from "react";
import type { EventOf } from "tidewire";
import { useHybridRealtime } from "tidewire/react";
import { CONNECTION, type Events } from "./events";

const SHOWN = 9;

/** The newest events, and how often it took a render to show them. */
export function Feed() {
  const seen = useRef({ count: 0, newest: [] as EventOf<Events>[] });
  const renders = useRef(0);
  const { lastEvent } = useHybridRealtime<Events>({
    ...CONNECTION,
    eventHandlers: {
      // Every event, at once. The hook renders in the next frame, with the last of them.
      "*": (event) => {
        const { count, newest } = seen.current;
        seen.current = { count: count + 1, newest: [event, ...newest].slice(0, SHOWN) };
      },
    },
  });
  renders.current += 1;
  const { count, newest } = seen.current;
  return (
    <section className="feed">
      <h2>
        What happened
        <span>
          events {count.toLocaleString("en")} · renders {renders.current.toLocaleString("en")}
        </span>
      </h2>
      {lastEvent === null && <p>Nothing yet. Open this page in a second window, too.</p>}
      <ol>
        {newest.map((event) => (
          <li key={event.id}>
            <time>{new Date(event.timestamp).toLocaleTimeString()}</time>
            <b>{summary(event)}</b>
            <code>{event.type}</code>
          </li>
        ))}
      </ol>
    </section>
  );
}

function summary(event: EventOf<Events>): string {
  switch (event.type) {
    case "shipMoved":
      return `${event.data.ship} to berth ${event.data.berth}`;
    case "notification":
    case "systemAlert":
      return event.data.title;
    default:
      return event.data.updateType ?? "";
  }
}
