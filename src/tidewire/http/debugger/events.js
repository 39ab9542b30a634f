/** The events that came: the last thousand, of which some are shown. */

/**
 * @typedef {import("./client.js").Envelope} Envelope
 * @typedef {import("./client.js").Priority} Priority
 *
 * @typedef {object} Row
 * @property {number} n counts what came
 * @property {Envelope} event
 * @property {string} json the same on one line
 * @property {number} bytes of that
 * @property {number} at when it came, in Unix milliseconds
 * @property {string} via by which method
 *
 * @typedef {object} Filter
 * @property {string} type empty: all
 * @property {string} priority
 * @property {string} text
 *
 * @typedef {object} Events
 * @property {readonly Row[]} rows oldest first
 * @property {readonly Row[]} waiting what came while it was paused, oldest first
 * @property {number} waited how many those were; more than `waiting` holds, perhaps
 * @property {boolean} paused
 * @property {number} total since the page was loaded, or cleared
 * @property {Filter} filter
 * @property {Row | null} selected
 * @property {boolean} opened whether the details of the selected one are shown
 *
 * @typedef {{ type: "events.received", rows: readonly Row[] }
 *   | { type: "events.paused" | "events.resumed" | "events.cleared" | "events.closed" }
 *   | { type: "events.filtered", filter: Partial<Filter> }
 *   | { type: "events.selected", row: Row | null, open: boolean }} EventsAction
 */

export const MAX_ROWS = 1000;

/** @type {Filter} */
export const ALL = { type: "", priority: "", text: "" };

/** @type {Events} */
export const noEvents = {
  rows: [],
  waiting: [],
  waited: 0,
  paused: false,
  total: 0,
  filter: ALL,
  selected: null,
  opened: false,
};

/**
 * @param {Events} events
 * @param {{ type: string }} given
 * @returns {Events}
 */
export function reduceEvents(events, given) {
  const action = /** @type {EventsAction} */ (given);
  switch (action.type) {
    case "events.received": {
      const total = events.total + action.rows.length;
      if (!events.paused) return { ...events, total, rows: bounded(events.rows, action.rows) };
      const waited = events.waited + action.rows.length;
      return { ...events, total, waited, waiting: bounded(events.waiting, action.rows) };
    }
    case "events.paused":
      return { ...events, paused: true };
    case "events.resumed": {
      const rows = bounded(events.rows, events.waiting);
      return { ...events, paused: false, rows, waiting: [], waited: 0 };
    }
    case "events.cleared":
      return { ...noEvents, paused: events.paused, filter: events.filter };
    case "events.filtered":
      return { ...events, filter: { ...events.filter, ...action.filter } };
    case "events.selected":
      return { ...events, selected: action.row, opened: action.open && action.row !== null };
    case "events.closed":
      return { ...events, opened: false };
    default:
      return events;
  }
}

/**
 * @param {readonly Row[]} rows
 * @param {readonly Row[]} more
 */
function bounded(rows, more) {
  if (more.length >= MAX_ROWS) return more.slice(-MAX_ROWS);
  return [...rows.slice(Math.max(0, rows.length + more.length - MAX_ROWS)), ...more];
}

/** @type {{ rows: readonly Row[], filter: Filter, shown: readonly Row[] } | null} */
let last = null;

/**
 * What is to be shown, newest first. The same list as long as nothing changes.
 *
 * @param {Events} events
 */
export function shownOf({ rows, filter }) {
  if (last !== null && last.rows === rows && last.filter === filter) return last.shown;
  const text = filter.text.trim().toLowerCase();
  const shown = rows
    .filter(
      ({ event, json }) =>
        (filter.type === "" || event.type === filter.type) &&
        (filter.priority === "" || event.priority === filter.priority) &&
        (text === "" || json.toLowerCase().includes(text)),
    )
    .reverse();
  last = { rows, filter, shown };
  return shown;
}

/** @param {Filter} filter */
export function isFiltered(filter) {
  return filter.type !== "" || filter.priority !== "" || filter.text.trim() !== "";
}

/**
 * The types that came, in the order of the alphabet.
 *
 * @param {Events} events
 */
export function typesOf({ rows }) {
  return [...new Set(rows.map(({ event }) => event.type))].sort();
}

/**
 * The row of an event, wherever it is.
 *
 * @param {Events} events
 * @param {string} id
 */
export function find({ rows, waiting }, id) {
  const is = (/** @type {Row} */ row) => row.event.id === id;
  return rows.find(is) ?? waiting.find(is) ?? null;
}

/**
 * What an event is about, in a few words.
 *
 * @param {Envelope} event
 */
export function gistOf({ data }) {
  if (typeof data === "string") return data;
  if (typeof data === "object" && data !== null && !Array.isArray(data)) {
    const { title, message } = /** @type {{ title?: unknown, message?: unknown }} */ (data);
    const said = [title, message].filter((text) => typeof text === "string" && text !== "");
    if (said.length > 0) return said.join(" – ");
  }
  return JSON.stringify(data) ?? "";
}

/**
 * Events as a file, oldest first.
 *
 * @param {readonly Row[]} shown newest first
 * @param {"json" | "jsonl"} form
 */
export function exported(shown, form) {
  const events = shown.map(({ event }) => event).reverse();
  if (form === "json") return `${JSON.stringify(events, null, 2)}\n`;
  return events.map((event) => `${JSON.stringify(event)}\n`).join("");
}
