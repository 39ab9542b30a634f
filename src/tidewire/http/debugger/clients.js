/** Who is connected, for administrators; and whether a user got an event. */

/**
 * @typedef {import("./trouble.js").Trouble} Trouble
 *
 * @typedef {object} Client as the server tells it; what it leaves out is missing
 * @property {string} clientId
 * @property {string} userId
 * @property {string} state
 * @property {string} [transport]
 * @property {string[]} [roles]
 * @property {string[]} [topics]
 * @property {string[] | null} [types]
 * @property {string} [method]
 * @property {string} [node]
 * @property {number} [connectedAt]
 * @property {string | null} [clientType]
 * @property {string | null} [clientInfo]
 * @property {string | null} [instanceId]
 * @property {string | null} [cursor]
 * @property {number} [behind]
 * @property {number} [delivered]
 * @property {number | null} [authorityEnds]
 * @property {number | null} [lastDeliveredAt]
 *
 * @typedef {object} Step of a client's life, as the server remembers it
 * @property {number} timestamp
 * @property {string} what
 * @property {string | null} [cursor]
 * @property {string | null} [detail]
 * @property {string} [node]
 * @property {string} [clientId]
 *
 * @typedef {{ event: string, user: string, verdict: string, delivered: boolean | null,
 *   reason: string, evidence: Step[], missing?: string[] }} Verdict
 *
 * @typedef {object} Clients
 * @property {readonly Client[] | null} list null: not told yet
 * @property {number} total
 * @property {readonly string[]} missing nodes that did not answer
 * @property {Trouble | null} trouble
 * @property {string} text what is sought
 * @property {string} state that is sought; empty: any
 * @property {string | null} selected the id of a client
 * @property {Client | null} known the selected one, as it was last seen
 * @property {boolean} gone whether that is not connected any more
 * @property {readonly Step[] | null} timeline of it, oldest first
 * @property {{ text: string, failed: boolean } | null} done what came of the last action
 * @property {{ event: string, user: string, busy: boolean, verdict: Verdict | null,
 *   trouble: Trouble | null }} question
 *
 * @typedef {{ type: "clients.listed", list: Client[], total: number, missing: string[] }
 *   | { type: "clients.failed", trouble: Trouble }
 *   | { type: "clients.sought", text?: string, state?: string }
 *   | { type: "clients.selected", id: string | null }
 *   | { type: "clients.told", id: string, client: Client | null, timeline: Step[] | null }
 *   | { type: "clients.done", text: string, failed: boolean }
 *   | { type: "clients.asking", event?: string, user?: string, busy?: boolean }
 *   | { type: "clients.explained", verdict: Verdict | null, trouble: Trouble | null }
 *   } ClientsAction
 */

export const STATES = ["connecting", "connected", "idle", "stale", "disconnecting"];

/** @type {Clients} */
export const noClients = {
  list: null,
  total: 0,
  missing: [],
  trouble: null,
  text: "",
  state: "",
  selected: null,
  known: null,
  gone: false,
  timeline: null,
  done: null,
  question: { event: "", user: "", busy: false, verdict: null, trouble: null },
};

/**
 * @param {Clients} clients
 * @param {{ type: string }} given
 * @returns {Clients}
 */
export function reduceClients(clients, given) {
  const action = /** @type {ClientsAction} */ (given);
  switch (action.type) {
    case "clients.listed": {
      const { list, total, missing } = action;
      const found = list.find(({ clientId }) => clientId === clients.selected) ?? null;
      const known = found ?? clients.known;
      const gone = clients.selected !== null && (found === null ? clients.gone : false);
      return { ...clients, list, total, missing, trouble: null, known, gone };
    }
    case "clients.failed":
      return { ...clients, trouble: action.trouble };
    case "clients.sought":
      return {
        ...clients,
        text: action.text ?? clients.text,
        state: action.state ?? clients.state,
      };
    case "clients.selected": {
      const known = clients.list?.find(({ clientId }) => clientId === action.id) ?? null;
      return { ...clients, selected: action.id, known, gone: false, timeline: null, done: null };
    }
    case "clients.told":
      if (action.id !== clients.selected) return clients;
      return {
        ...clients,
        known: action.client ?? clients.known,
        gone: action.client === null,
        timeline: action.timeline,
      };
    case "clients.done":
      return { ...clients, done: { text: action.text, failed: action.failed } };
    case "clients.asking": {
      const { event, user, busy } = { ...clients.question, ...defined(action) };
      return { ...clients, question: { ...clients.question, event, user, busy } };
    }
    case "clients.explained": {
      const { verdict, trouble } = action;
      return { ...clients, question: { ...clients.question, busy: false, verdict, trouble } };
    }
    default:
      return clients;
  }
}

/**
 * @template {object} T
 * @param {T} given
 * @returns {Partial<T>}
 */
function defined(given) {
  return /** @type {Partial<T>} */ (
    Object.fromEntries(Object.entries(given).filter(([, value]) => value !== undefined))
  );
}

/**
 * @param {Clients} clients
 * @returns {Client[]}
 */
export function shownOf({ list, text, state }) {
  const sought = text.trim().toLowerCase();
  const found = (list ?? []).filter(
    (client) =>
      (state === "" || client.state === state) &&
      (sought === "" ||
        [client.userId, client.clientId, client.clientType, client.node, ...(client.roles ?? [])]
          .join(" ")
          .toLowerCase()
          .includes(sought)),
  );
  return found.sort(
    (one, other) =>
      one.userId.localeCompare(other.userId) || (one.connectedAt ?? 0) - (other.connectedAt ?? 0),
  );
}

/**
 * @param {string} state
 * @returns {import("./link.js").Tone}
 */
export function toneOf(state) {
  if (state === "connected") return "good";
  if (state === "stale") return "bad";
  if (state === "disconnecting") return "warn";
  return state === "connecting" ? "busy" : "calm";
}

/** @type {Readonly<Record<string, string>>} */
const VERDICTS = {
  confirmed: "Arrived, and confirmed",
  written: "Written",
  behind: "Not yet written",
  notTarget: "Not for this user",
  filteredByType: "Filtered by type",
  notSubscribed: "Topic not subscribed",
  notConnected: "Not connected",
  startedLater: "Connected later",
  gapTold: "Missed, and told so",
  trimmed: "Not in the log any more",
  unknownEvent: "No such event",
  unknown: "Beyond what is remembered",
};

/**
 * @param {Verdict} verdict
 * @returns {{ name: string, tone: import("./link.js").Tone }}
 */
export function nameOf({ verdict, delivered }) {
  const name = VERDICTS[verdict] ?? verdict;
  if (delivered === true) return { name, tone: "good" };
  return { name, tone: delivered === false ? "warn" : "calm" };
}
