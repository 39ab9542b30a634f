/**
 * How a user's own events are typed, and what the client makes of the wire.
 *
 * Times are Unix milliseconds unless the name says otherwise.
 */
import type { ControlEvents, Envelope, KnownPayloads, PollBody, PollMeta } from "./wire.js";

export type {
  AuthExpiring,
  Category,
  Connected,
  ControlEvents,
  Disconnecting,
  Envelope,
  Gap,
  Metadata,
  NotificationData,
  Ping,
  Priority,
  Problem,
  Recovery,
  SSEToken,
  SystemAlertData,
  UpdateData,
} from "./wire.js";

/**
 * The events that have a name in the contract. Extend it by your own, or declare another map, and
 * your handlers are typed:
 *
 * ```ts
 * interface Events extends KnownEvents { orderShipped: { order: number } }
 * const client = new SSEClient<Events>({ endpoint: "/api/sse" });
 * client.on("orderShipped", (event) => event.data.order);
 * ```
 */
export interface KnownEvents extends KnownPayloads {}

/** The names of a map. */
export type TypeOf<Events> = keyof Events & string;

/** One event of a map; without a name, any of them. */
export type EventOf<Events, Type extends TypeOf<Events> = TypeOf<Events>> = {
  [Name in Type]: Envelope<Name, Events[Name]>;
}[Type];

/** Made by the client itself when it is not connected any more. */
export interface Disconnected {
  reason: string;
  willReconnect: boolean;
  /** Milliseconds until it tries again; null: it does not. */
  nextIn: number | null;
}

export type ControlType = keyof ControlEvents;

/** One control event of a stream. */
export type Control = {
  [Type in ControlType]: { type: Type; data: ControlEvents[Type] };
}[ControlType];

/** What handlers may ask for beside the events of the log. */
export interface ClientEvents extends ControlEvents {
  disconnected: Disconnected;
}

/** Handlers by name. `*` gets every event of the log, whatever its type. */
export type Handlers<Events> = {
  [Type in keyof Events]?: (event: Envelope<Type & string, Events[Type]>) => void;
} & {
  [Type in keyof ClientEvents]?: (event: { type: Type; data: ClientEvents[Type] }) => void;
} & { "*"?: (event: EventOf<Events>) => void };

/** What the client takes of the answer to a poll. */
export interface PollAnswer
  extends Pick<PollBody, "userId" | "events" | "cursor" | "hasMore" | "gap"> {
  meta: Pick<PollMeta, "nextPollIn">;
}
