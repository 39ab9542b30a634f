/** All that the page knows, as one value, and how it changes. */
import { noActivity, reduceActivity } from "./activity.js";
import { noClients, reduceClients } from "./clients.js";
import { noEvents, reduceEvents } from "./events.js";
import { noHealth, reduceHealth } from "./health.js";
import { NOBODY } from "./identity.js";
import { noLink, reduceLink } from "./link.js";
import { nothingSent, reduceSending } from "./sending.js";

/**
 * @typedef {"connection" | "send" | "events" | "health" | "clients" | "log"} Panel
 *
 * @typedef {object} State
 * @property {Panel} panel the one that is seen
 * @property {number} now Unix milliseconds, to the second
 * @property {boolean} development whether the server is in development mode
 * @property {import("./link.js").Settings} settings of the next connection
 * @property {import("./link.js").Link} link
 * @property {import("./sending.js").Sending} sending
 * @property {import("./events.js").Events} events
 * @property {import("./health.js").Health} health
 * @property {import("./clients.js").Clients} clients
 * @property {import("./activity.js").Activity} activity
 *
 * @typedef {{ type: "shown", panel: Panel }
 *   | { type: "ticked", now: number }
 *   | { type: "settings.changed", settings: Partial<import("./link.js").Settings> }
 *   | { type: "settings.who", who: Partial<import("./identity.js").Who> }
 *   | import("./link.js").LinkAction
 *   | import("./sending.js").SendingAction
 *   | import("./events.js").EventsAction
 *   | import("./health.js").HealthAction
 *   | import("./clients.js").ClientsAction
 *   | import("./activity.js").ActivityAction} Action
 *
 * @typedef {(action: Action) => void} Dispatch
 */

/** @type {readonly Panel[]} */
export const PANELS = ["connection", "send", "events", "health", "clients", "log"];

/**
 * @param {{ development: boolean, now: number, hash: string, kept: Record<string, string> }} given
 *   `kept`: settings of the last time, by field
 * @returns {State}
 */
export function initialState({ development, now, hash, kept }) {
  return {
    panel: panelOf(hash),
    now,
    development,
    settings: {
      who: {
        ...NOBODY,
        way: oneOf(kept.way, development ? WAYS : WAYS.slice(1)),
        userId: kept.userId ?? (development ? "alice" : ""),
        roles: kept.roles ?? "",
        permissions: kept.permissions ?? "",
      },
      transport: oneOf(kept.transport, TRANSPORTS),
      start: oneOf(kept.start, STARTS),
      types: kept.types ?? "",
      topics: kept.topics ?? "",
      cursor: kept.cursor ?? "",
    },
    link: noLink,
    sending: nothingSent,
    events: noEvents,
    health: noHealth,
    clients: noClients,
    activity: noActivity,
  };
}

/** @type {readonly import("./identity.js").Way[]} */
const WAYS = ["development", "session", "token"];
/** @type {readonly import("./link.js").Transport[]} */
const TRANSPORTS = ["auto", "sse", "polling"];
/** @type {readonly ("latest" | "earliest" | "cursor")[]} */
const STARTS = ["latest", "earliest", "cursor"];

/**
 * @template {string} Choice
 * @param {string | undefined} given
 * @param {readonly Choice[]} choices the first is the usual one
 * @returns {Choice}
 */
function oneOf(given, choices) {
  const [usual] = choices;
  if (usual === undefined) throw new RangeError("There is nothing to choose from.");
  return choices.find((choice) => choice === given) ?? usual;
}

/**
 * @param {string} hash
 * @returns {Panel}
 */
export function panelOf(hash) {
  return PANELS.find((panel) => `#${panel}` === hash) ?? "connection";
}

/**
 * @param {State} state
 * @param {Action} action
 * @returns {State}
 */
export function reduce(state, action) {
  switch (action.type) {
    case "shown":
      return { ...state, panel: action.panel };
    case "ticked":
      return { ...state, now: action.now };
    case "settings.changed":
      return { ...state, settings: { ...state.settings, ...action.settings } };
    case "settings.who": {
      const { settings } = state;
      return { ...state, settings: { ...settings, who: { ...settings.who, ...action.who } } };
    }
    default:
      return {
        ...state,
        link: reduceLink(state.link, action),
        sending: reduceSending(state.sending, action),
        events: reduceEvents(state.events, action),
        health: reduceHealth(state.health, action),
        clients: reduceClients(state.clients, action),
        activity: reduceActivity(state.activity, action),
      };
  }
}
