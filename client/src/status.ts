import type { Failure } from "./failure.js";
import type { Method, Phase, State } from "./model.js";

export type ConnectionStatus =
  | "disconnected"
  | "connecting"
  | "connected"
  | "reconnecting"
  | "offline"
  | "stopped";

/** How a client stands, for showing it. The same object as long as nothing in it changes. */
export interface Status {
  readonly connectionStatus: ConnectionStatus;
  readonly isConnected: boolean;
  /** By what events are read, or shall be; null: by nothing. */
  readonly activeMethod: "sse" | "polling" | null;
  /** The same, more exactly. */
  readonly method: Method | null;
  readonly sseFailureCount: number;
  readonly pollingFailureCount: number;
  /** Why it is not, or was last not, connected: a code of an error, or what happened. */
  readonly reason: string | null;
  readonly error: Failure | null;
  /** By what name the server knows the open stream. */
  readonly clientId: string | null;
  /** Whose connection it is: ours alone, or one that tabs share, which one of them keeps. */
  readonly role: "alone" | "leader" | "follower";
}

/** How a state looks from outside; `previous` itself where nothing has changed. */
export function statusOf(state: State, previous: Status | null): Status {
  const running = state.phase !== "idle" && state.phase !== "stopped";
  const method = running ? state.method : null;
  const status: Status = {
    connectionStatus: connectionStatus(state),
    isConnected: state.phase === "open",
    activeMethod: method === null ? null : method === "sse" ? "sse" : "polling",
    method,
    sseFailureCount: state.sseFailures,
    pollingFailureCount: state.pollingFailures,
    reason: state.reason,
    error: state.error,
    clientId: state.link?.stream?.clientId ?? null,
    role: "alone",
  };
  if (previous === null) return status;
  const names = Object.keys(status) as (keyof Status)[];
  return names.every((name) => status[name] === previous[name]) ? previous : status;
}

const STATUS: Readonly<Partial<Record<Phase, ConnectionStatus>>> = {
  idle: "disconnected",
  open: "connected",
  stopped: "stopped",
  offline: "offline",
  frozen: "offline",
};

function connectionStatus({ phase, error, cursor }: State): ConnectionStatus {
  // Whoever was connected has a cursor.
  return STATUS[phase] ?? (error === null && cursor === null ? "connecting" : "reconnecting");
}
