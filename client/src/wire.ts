/**
 * What travels on the wire. Made from the server's models by `scripts/wire-types`: change those.
 *
 * Times are Unix milliseconds unless the name says otherwise.
 */

/** Information for the reader: it changes neither order nor delivery. */
export type Priority = "low" | "normal" | "high" | "critical";

/** What kind of failure it is. */
export type Category =
  | "connection"
  | "authentication"
  | "rate_limit"
  | "server"
  | "client"
  | "validation"
  | "timeout";

/** What a client does about a failure. */
export type Recovery =
  | "retry"
  | "refresh_token"
  | "fallback_polling"
  | "restart_connection"
  | "none";

/** What an event carries beside its payload. Targets are never sent to subscribers. */
export interface Metadata {
  /** Who acted. Not who is meant. */
  userId?: string;
  correlationId?: string;
  [key: string]: unknown;
}

/** An event of the log, as subscribers get it. */
export interface Envelope<Type extends string = string, Data = unknown> {
  /** Its identity: unique, and never changed. */
  id: string;
  /** When it was accepted. */
  timestamp: number;
  type: Type;
  priority: Priority;
  source: string;
  version: string;
  data: Data;
  metadata?: Metadata;
}

/** What a `notification` carries. `expires` is Unix milliseconds. */
export interface NotificationData {
  title: string;
  message: string;
  type: "info" | "success" | "warning" | "error";
  url?: string;
  persistent?: boolean;
  actions?: Record<string, unknown>[];
  expires?: number;
}

/** What a `systemAlert` carries. Times are Unix milliseconds. */
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

/** What a `dashboardUpdate`, a `reportUpdate` or a `userUpdate` carries: any fields. */
export interface UpdateData {
  updateType?: string;
  [key: string]: unknown;
}

/** The payloads of the events that have a name in the contract. */
export interface KnownPayloads {
  notification: NotificationData;
  systemAlert: SystemAlertData;
  dashboardUpdate: UpdateData;
  reportUpdate: UpdateData;
  userUpdate: UpdateData;
}

/** What a stream says of the server that writes it. */
export interface ServerInfo {
  version: string;
  capabilities: string[];
  /** Milliseconds. */
  pingInterval: number;
}

/** What a server knows of the client that it writes to. */
export interface ClientInfo {
  connectedAt: number;
  authMethod: string;
  clientType: string | null;
}

/** The first that a stream says. */
export interface Connected {
  clientId: string;
  serverInfo: ServerInfo;
  clientInfo: ClientInfo;
  /** Whether the stream goes on exactly where the cursor stood. */
  resumed: boolean;
  /** Whether the shared log is away, and only this node's publishers are heard. */
  degraded: boolean;
}

/** A sign of life. */
export interface Ping {
  timestamp: number;
  /** ISO 8601, in UTC. */
  serverTime: string;
  sequence: number;
  /** The cursor up to which the stream was served. */
  head: string;
}

/** A hole: what lies in `(from, to]` was missed. Fetch anew what depends on it. */
export interface Gap {
  from: string;
  to: string;
  reason: "expired" | "epoch" | "future" | "replayLimit";
}

/** The authority of a stream ends soon. */
export interface AuthExpiring {
  expiresAt: number;
  /** Where a new credential extends the stream. */
  refreshUrl: string;
}

/**
 * A problem of RFC 9457, with what a client needs to recover. Some have further members, such as
 * `field` or `parameter`: where the fault is.
 */
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
  [key: string]: unknown;
}

/** The last that a stream says. */
export interface Disconnecting {
  reason: string;
  /** Milliseconds until one may come back; null: one may not. */
  reconnectAfter: number | null;
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

/** Where the events came from, and when to ask again. Times are Unix milliseconds. */
export interface PollMeta {
  eventSource: string;
  filters: Record<string, string[]>;
  /** Milliseconds. */
  nextPollIn: number;
  nextPollRecommended: number;
  /** ISO 8601, in UTC. */
  serverTime: string;
}

/** The events after a cursor, oldest first, and the cursor to ask with next. */
export interface PollBody {
  userId: string;
  timestamp: number;
  since: string;
  events: Envelope[];
  cursor: string;
  /** Whether to go on at once. */
  hasMore: boolean;
  gap: Gap | null;
  meta: PollMeta;
}

/** What the token says beside who it is for. */
export interface SSETokenMetadata {
  role: string | null;
  roles: string[];
  permissions: string[];
}

/** A token for streams. Times are Unix milliseconds. */
export interface SSEToken {
  token: string;
  expiresAt: number;
  refreshAfter: number;
  userId: string;
  metadata: SSETokenMetadata;
}
