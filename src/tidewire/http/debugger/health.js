/** How the server is, and how it was in the last minutes. */

/**
 * @typedef {import("./trouble.js").Trouble} Trouble
 *
 * @typedef {object} Sample figures of one moment; null: not told
 * @property {number} at Unix milliseconds
 * @property {number | null} connections
 * @property {number | null} deliveries a second, since the last sample
 * @property {number | null} latency of deliveries, the 95th percentile, in milliseconds
 * @property {number | null} errors percent of answers
 * @property {number | null} written how many deliveries there were by then
 *
 * @typedef {object} Health
 * @property {any} answer of the server; null: none yet
 * @property {boolean} detailed whether it holds what only administrators get
 * @property {Trouble | null} trouble why there are no details, or no answer at all
 * @property {readonly Sample[]} samples oldest first
 * @property {{ text: string, failed: boolean } | null} done what came of the last action
 *
 * @typedef {{ type: "health.answered", answer: any, detailed: boolean, trouble: Trouble | null,
 *       at: number }
 *   | { type: "health.failed", trouble: Trouble }
 *   | { type: "health.done", text: string, failed: boolean }} HealthAction
 */

/** Four minutes, at one in two seconds. */
const MAX_SAMPLES = 120;

/** @type {Health} */
export const noHealth = { answer: null, detailed: false, trouble: null, samples: [], done: null };

/**
 * @param {Health} health
 * @param {{ type: string }} given
 * @returns {Health}
 */
export function reduceHealth(health, given) {
  const action = /** @type {HealthAction} */ (given);
  switch (action.type) {
    case "health.answered": {
      const sample = sampleOf(action.answer, action.at, health.samples.at(-1));
      return {
        ...health,
        answer: action.answer,
        detailed: action.detailed,
        trouble: action.trouble,
        samples: [...health.samples.slice(1 - MAX_SAMPLES), sample],
      };
    }
    case "health.failed":
      return { ...health, trouble: action.trouble };
    case "health.done":
      return { ...health, done: { text: action.text, failed: action.failed } };
    default:
      return health;
  }
}

/**
 * A figure somewhere in an answer; null where it is not told.
 *
 * @param {any} answer
 * @param {...string} path
 * @returns {number | null}
 */
export function figure(answer, ...path) {
  const found = path.reduce((value, name) => value?.[name], answer);
  return typeof found === "number" && Number.isFinite(found) ? found : null;
}

/**
 * @param {any} answer
 * @param {number} at
 * @param {Sample | undefined} before
 * @returns {Sample}
 */
export function sampleOf(answer, at, before) {
  const written = figure(answer, "metrics", "written");
  const known = written !== null && before !== undefined && before.written !== null;
  const passed = before === undefined ? 0 : at - before.at;
  return {
    at,
    connections: figure(answer, "connections", "total"),
    // A server that has begun anew counts from nothing.
    deliveries:
      known && passed > 0 && written >= (before.written ?? 0)
        ? ((written - (before.written ?? 0)) / passed) * 1000
        : null,
    latency: figure(answer, "metrics", "deliveryLatency", "p95"),
    errors: figure(answer, "errorRate"),
    written,
  };
}

/**
 * @param {unknown} status
 * @returns {import("./link.js").Tone}
 */
export function toneOf(status) {
  if (status === "healthy") return "good";
  if (status === "degraded") return "warn";
  return status === "unhealthy" ? "bad" : "calm";
}

/**
 * @param {unknown} severity
 * @returns {import("./link.js").Tone}
 */
export function severityTone(severity) {
  if (severity === "critical" || severity === "high") return "bad";
  return severity === "medium" ? "warn" : "calm";
}
