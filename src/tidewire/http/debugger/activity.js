/** What the client and this page did, in order. */

/**
 * @typedef {"state" | "request" | "server" | "error"} Source
 * @typedef {object} Entry
 * @property {number} n
 * @property {number} at Unix milliseconds
 * @property {Source} source
 * @property {string} what
 * @property {string} detail
 *
 * @typedef {{ entries: readonly Entry[], next: number, source: Source | "", text: string }} Activity
 *   `entries`: oldest first
 * @typedef {{ type: "activity.noted", at: number, source: Source, what: string, detail: string }
 *   | { type: "activity.cleared" }
 *   | { type: "activity.filtered", source?: Source | "", text?: string }} ActivityAction
 */

const MAX_ENTRIES = 500;

/** @type {Activity} */
export const noActivity = { entries: [], next: 1, source: "", text: "" };

/**
 * @param {Activity} activity
 * @param {{ type: string }} given
 * @returns {Activity}
 */
export function reduceActivity(activity, given) {
  const action = /** @type {ActivityAction} */ (given);
  switch (action.type) {
    case "activity.noted": {
      const { at, source, what, detail } = action;
      const entry = { n: activity.next, at, source, what, detail };
      const entries = [...activity.entries.slice(1 - MAX_ENTRIES), entry];
      return { ...activity, entries, next: activity.next + 1 };
    }
    case "activity.cleared":
      return { ...activity, entries: [] };
    case "activity.filtered":
      return {
        ...activity,
        source: action.source ?? activity.source,
        text: action.text ?? activity.text,
      };
    default:
      return activity;
  }
}

/**
 * Newest first.
 *
 * @param {Activity} activity
 */
export function shownOf({ entries, source, text }) {
  const sought = text.trim().toLowerCase();
  return entries
    .filter(
      (entry) =>
        (source === "" || entry.source === source) &&
        (sought === "" || `${entry.what} ${entry.detail}`.toLowerCase().includes(sought)),
    )
    .reverse();
}
