/**
 * What brings a page its events. Loaded when a page connects: outside pages, and before, none of
 * this is needed.
 */
import type { Connection, ConnectionOptions } from "./connection.js";
import { KeptCursor } from "./kept.js";
import type { Delivery } from "./model.js";
import { type Parts, Tabs } from "./tabs.js";

export interface FeedOptions extends ConnectionOptions {
  /**
   * Whether all tabs of the browser that ask for the same, as the same user, share one connection.
   * Default: true, where there are Web Locks and BroadcastChannel.
   */
  shareConnection?: boolean;
  /** Keeps the cursor in `sessionStorage`, so that a page that is loaded again goes on from where
   *  it was; unless `since` is given. */
  persistCursor?: boolean;
}

/** Web Locks want a page that came over HTTPS, or from this very machine. */
const CAN_SHARE =
  typeof BroadcastChannel !== "undefined" && globalThis.navigator?.locks !== undefined;

/**
 * @param connection one that nobody has asked for yet: what is not shared, and starts nowhere
 *   else, is that.
 */
export function feedOf(
  options: FeedOptions,
  connection: Connection,
  parts: Parts,
): Connection | Tabs {
  const kept = options.persistCursor ? new KeptCursor(options) : null;
  const cursor = options.since === undefined ? (kept?.get() ?? null) : null;
  const deliver = (deliveries: readonly Delivery[]) => {
    if (feed.cursor !== null) kept?.set(feed.cursor);
    parts.deliver(deliveries);
  };
  const shared = (options.shareConnection ?? true) && CAN_SHARE;
  if (!shared && kept === null) return connection;
  const feed = shared
    ? new Tabs(options, connection, cursor, { ...parts, deliver })
    : new parts.Connection(options, cursor, (deliveries) => {
        deliver(deliveries);
        parts.changed();
      });
  return feed;
}
