import type { SSEClient } from "./client.js";
import type { Failure } from "./failure.js";
import type { Status } from "./status.js";
import type { Envelope, EventOf } from "./types.js";

/** A connection as a view shows it: how it stands, and what came last. Nothing but data. */
export interface Snapshot<Events> extends Status {
  /** The last event of the log. Those before it within the frame were handed to handlers only. */
  readonly lastEvent: EventOf<Events> | null;
}

/** Nobody has asked for a connection. */
export const IDLE: Status & { readonly lastEvent: null } = {
  connectionStatus: "disconnected",
  isConnected: false,
  activeMethod: null,
  method: null,
  sseFailureCount: 0,
  pollingFailureCount: 0,
  reason: null,
  error: null,
  clientId: null,
  role: "alone",
  lastEvent: null,
};

/** A frame that does not come, as in a hidden page, is replaced after so long; in milliseconds. */
const FRAME_TIMEOUT = 100;

/**
 * Shows snapshots of a client: one per frame at most, however much happens in it.
 *
 * @returns ends it; nothing is shown any more, and no timer is left.
 */
export function followSnapshots<Events>(
  client: SSEClient<Events>,
  show: (snapshot: Snapshot<Events>) => void,
): () => void {
  let lastEvent: EventOf<Events> | null = null;
  const frame = new Frame(() => show(snapshotOf(client.getStatus(), lastEvent)));
  const ends = [
    client.subscribe(() => frame.request()),
    client.on("*", (event: Envelope) => {
      lastEvent = event as EventOf<Events>;
      frame.request();
    }),
  ];
  return () => {
    for (const end of ends) end();
    frame.cancel();
  };
}

function snapshotOf<Events>(status: Status, lastEvent: EventOf<Events> | null): Snapshot<Events> {
  return { ...status, error: status.error && plain(status.error), lastEvent };
}

/** A failure that was thrown is an Error, which stores cannot write down. */
function plain({ code, detail, category, recovery, status, retryAfter }: Failure): Failure {
  return { code, detail, category, recovery, status, retryAfter };
}

/** The next frame of the page, in which something is to be done once. */
class Frame {
  #pending: (() => void) | null = null;

  constructor(readonly act: () => void) {}

  request(): void {
    if (this.#pending !== null) return;
    const ring = () => {
      this.cancel();
      this.act();
    };
    // Both: whether a frame will come is not known when it is asked for.
    const timer = setTimeout(ring, FRAME_TIMEOUT);
    const frame = globalThis.requestAnimationFrame?.(ring);
    this.#pending = () => {
      clearTimeout(timer);
      if (frame !== undefined) cancelAnimationFrame(frame);
    };
  }

  cancel(): void {
    this.#pending?.();
    this.#pending = null;
  }
}
