/** The connection of this page, as far as it is known. */

/**
 * @typedef {import("./client.js").Status} Status
 * @typedef {import("./client.js").Connected} Connected
 * @typedef {import("./client.js").Ping} Ping
 * @typedef {import("./client.js").Gap} Gap
 * @typedef {import("./identity.js").Who} Who
 *
 * @typedef {"auto" | "sse" | "polling"} Transport
 * @typedef {object} Settings as they were typed
 * @property {Who} who
 * @property {Transport} transport
 * @property {string} types comma-separated; empty: all
 * @property {string} topics
 * @property {"latest" | "earliest" | "cursor"} start
 * @property {string} cursor where to start, if from a cursor
 *
 * @typedef {object} Link
 * @property {Settings | null} settings those it was opened with; null: never
 * @property {Status} status
 * @property {string | null} cursor
 * @property {Connected | null} connected what the open stream said of itself
 * @property {{ data: Ping, at: number } | null} ping the last of the open stream
 * @property {readonly (Gap & { at: number })[]} gaps newest first
 *
 * @typedef {{ type: "link.opened", settings: Settings }
 *   | { type: "link.status", status: Status, cursor: string | null }
 *   | { type: "link.connected", data: Connected }
 *   | { type: "link.ping", data: Ping, at: number }
 *   | { type: "link.gap", data: Gap, at: number }} LinkAction
 *
 * @typedef {"good" | "busy" | "bad" | "calm" | "warn"} Tone
 */

const MAX_GAPS = 20;

/** @type {Status} */
const CLOSED = {
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
};

/** @type {Link} */
export const noLink = {
  settings: null,
  status: CLOSED,
  cursor: null,
  connected: null,
  ping: null,
  gaps: [],
};

/**
 * @param {Link} link
 * @param {{ type: string }} given
 * @returns {Link}
 */
export function reduceLink(link, given) {
  const action = /** @type {LinkAction} */ (given);
  switch (action.type) {
    case "link.opened":
      return { ...noLink, settings: action.settings };
    case "link.status": {
      // What a stream said holds as long as it is open.
      const { clientId } = action.status;
      const open = clientId !== null && clientId === link.connected?.clientId;
      return {
        ...link,
        status: action.status,
        cursor: action.cursor,
        connected: open ? link.connected : null,
        ping: open ? link.ping : null,
      };
    }
    case "link.connected":
      return { ...link, connected: action.data, ping: null };
    case "link.ping":
      return { ...link, ping: { data: action.data, at: action.at } };
    case "link.gap": {
      const gap = { ...action.data, at: action.at };
      return { ...link, gaps: [gap, ...link.gaps].slice(0, MAX_GAPS) };
    }
    default:
      return link;
  }
}

/** @type {Readonly<Record<Status["connectionStatus"], readonly [name: string, tone: Tone]>>} */
const PHASES = {
  disconnected: ["Disconnected", "calm"],
  connecting: ["Connecting", "busy"],
  connected: ["Connected", "good"],
  reconnecting: ["Reconnecting", "warn"],
  offline: ["Offline", "warn"],
  stopped: ["Stopped", "bad"],
};

/** @type {Readonly<Record<NonNullable<Status["method"]>, string>>} */
const METHODS = { sse: "Stream", longPolling: "Long polling", shortPolling: "Short polling" };

/** @param {Status} status */
export function phaseOf(status) {
  const [name, tone] = PHASES[status.connectionStatus];
  return { name, tone };
}

/** @param {Status["method"]} method */
export function methodName(method) {
  return method === null ? null : METHODS[method];
}

/**
 * How it stands, in a sentence.
 *
 * @param {Status} status
 */
export function sentenceOf(status) {
  const { name } = phaseOf(status);
  const method = methodName(status.method);
  return method === null || !status.isConnected ? name : `${name} by ${method.toLowerCase()}`;
}

/**
 * What came of it, in words, where it is not what one wants.
 *
 * @param {Status} status
 */
export function reasonOf({ error, reason, connectionStatus }) {
  if (connectionStatus === "connected" && error === null) return null;
  if (error !== null) return error.detail === "" ? error.code : `${error.detail} (${error.code})`;
  return connectionStatus === "disconnected" ? null : reason;
}
