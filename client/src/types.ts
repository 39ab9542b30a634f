/**
 * What travels on the wire, as the contract has it, and how a user's own events are typed.
 *
 * Times are Unix milliseconds unless the name says otherwise.
 */

export type Priority = "low" | "normal" | "high" | "critical";

/** What an event carries beside its payload. Targets are never sent to subscribers. */
export interface Metadata {
  /** Who acted. Not who is meant. */
  userId?: string;
  correlationId?: string;
  [key: string]: unknown;
}

/** An event of the log. */
export interface Envelope<Type extends string = string, Data = unknown> {
  /** Its identity: unique, and never changed. */
  id: string;
  type: Type;
  timestamp: number;
  priority: Priority;
  source: string;
  version: string;
  data: Data;
  metadata?: Metadata;
}

export interface NotificationData {
  title: string;
  message: string;
  type: "info" | "success" | "warning" | "error";
  url?: string;
  persistent?: boolean;
  actions?: unknown[];
  expires?: number;
}

export interface SystemAlertData {
  title: string;
  message: string;
  severity: "low" | "medium" | "high" | "critical";
  alertType?: string;
  startTime?: number;
  endTime?: number;
  affectedServices?: string[];
  actionRequired?: boolean;
}

export interface UpdateData {
  updateType?: string;
  [key: string]: unknown;
}

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
export interface KnownEvents {
  notification: NotificationData;
  systemAlert: SystemAlertData;
  dashboardUpdate: UpdateData;
  reportUpdate: UpdateData;
  userUpdate: UpdateData;
}

/** The names of a map. */
export type TypeOf<Events> = keyof Events & string;

/** One event of a map; without a name, any of them. */
export type EventOf<Events, Type extends TypeOf<Events> = TypeOf<Events>> = {
  [Name in Type]: Envelope<Name, Events[Name]>;
}[Type];

export interface Connected {
  clientId: string;
  serverInfo: { version: string; capabilities: string[]; pingInterval: number };
  clientInfo: { connectedAt: number; authMethod: string; clientType: string | null };
  /** Whether the stream goes on exactly where the cursor stood. */
  resumed: boolean;
  degraded: boolean;
}

export interface Ping {
  timestamp: number;
  serverTime: string;
  sequence: number;
  head: string;
}

/** A hole: what lies in `(from, to]` was missed. Fetch anew what depends on it. */
export interface Gap {
  from: string;
  to: string;
  reason: "expired" | "epoch" | "future" | "replayLimit";
}

export interface AuthExpiring {
  expiresAt: number;
  refreshUrl: string;
}

export interface Disconnecting {
  reason: string;
  /** Milliseconds until we may come back; null: we may not. */
  reconnectAfter: number | null;
}

/** Made by the client itself when it is not connected any more. */
export interface Disconnected {
  reason: string;
  willReconnect: boolean;
  /** Milliseconds until it tries again; null: it does not. */
  nextIn: number | null;
}

export type Category =
  | "connection"
  | "authentication"
  | "rate_limit"
  | "server"
  | "client"
  | "validation"
  | "timeout";

export type Recovery =
  | "retry"
  | "refresh_token"
  | "fallback_polling"
  | "restart_connection"
  | "none";

/** An error as servers tell it (RFC 9457). */
export interface Problem {
  type: string;
  title: string;
  status: number;
  detail: string;
  code: string;
  category: Category;
  retryable: boolean;
  /** Milliseconds. */
  retryAfter: number | null;
  recovery: Recovery;
  [member: string]: unknown;
}

/** What a stream says beside the events of the log. No published event can have such a name. */
export interface ControlEvents {
  connected: Connected;
  ping: Ping;
  gap: Gap;
  authExpiring: AuthExpiring;
  error: Problem;
  disconnecting: Disconnecting;
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

/** The answer to a poll. */
export interface PollAnswer {
  events: Envelope[];
  cursor: string;
  hasMore: boolean;
  gap: Gap | null;
  /** Milliseconds. */
  nextPollIn: number;
}

/** A token for streams, as `GET /api/auth/sse-token` gives it. */
export interface SSEToken {
  token: string;
  expiresAt: number;
  refreshAfter: number;
  userId: string;
  metadata: { role: string | null; roles?: string[]; permissions: string[] };
}
