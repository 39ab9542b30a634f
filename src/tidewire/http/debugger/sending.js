/** What is to be sent, and what came of it. */
import { parse, pretty } from "./json.js";
import { TEMPLATES } from "./payloads.js";

/**
 * @typedef {import("./trouble.js").Trouble} Trouble
 * @typedef {"user" | "role" | "broadcast"} Target
 * @typedef {object} Draft as it was typed
 * @property {string} type
 * @property {import("./client.js").Priority} priority
 * @property {Target} target
 * @property {string} value whom it is for
 * @property {string} message
 * @property {string} data JSON
 * @property {boolean} asAdministrator whether to send it as one, where anybody may
 *
 * @typedef {object} Sent
 * @property {number} n
 * @property {number} at Unix milliseconds
 * @property {string} type
 * @property {Target} target
 * @property {string} value
 * @property {string | null} eventId null: it was refused
 * @property {string | null} hint
 * @property {Trouble | null} trouble
 * @property {number} took milliseconds until the answer
 *
 * @typedef {{ draft: Draft, busy: boolean, sent: readonly Sent[] }} Sending `sent`: newest first
 * @typedef {{ type: "sending.drafted", draft: Partial<Draft> }
 *   | { type: "sending.begun" }
 *   | { type: "sending.answered", sent: Sent }} SendingAction
 */

const MAX_SENT = 8;

/** @type {Sending} */
export const nothingSent = {
  draft: {
    type: "notification",
    priority: "normal",
    target: "user",
    value: "",
    message: "",
    data: pretty(TEMPLATES[0]?.data ?? {}),
    asAdministrator: true,
  },
  busy: false,
  sent: [],
};

/**
 * @param {Sending} sending
 * @param {{ type: string }} given
 * @returns {Sending}
 */
export function reduceSending(sending, given) {
  const action = /** @type {SendingAction} */ (given);
  switch (action.type) {
    case "sending.drafted":
      return { ...sending, draft: { ...sending.draft, ...action.draft } };
    case "sending.begun":
      return { ...sending, busy: true };
    case "sending.answered":
      return { ...sending, busy: false, sent: [action.sent, ...sending.sent].slice(0, MAX_SENT) };
    default:
      return sending;
  }
}

/**
 * What is wrong with a payload; null: nothing.
 *
 * @param {string} text
 * @returns {import("./json.js").Fault | null}
 */
export function faultOf(text) {
  if (text.trim() === "") return null;
  const { value, fault } = parse(text);
  if (fault !== null) return fault;
  if (typeof value === "object" && value !== null && !Array.isArray(value)) return null;
  const message = "The payload of a test is an object: it begins with {.";
  return { line: 1, column: 1, offset: 0, message };
}

/**
 * What is missing in a draft, by field.
 *
 * @param {Draft} draft
 * @returns {{ field: "type" | "value" | "data", message: string } | null}
 */
export function lackOf(draft) {
  if (draft.type.trim() === "") return { field: "type", message: "Say which type of event." };
  if (draft.target === "role" && draft.value.trim() === "") {
    return { field: "value", message: "Say which role it is for." };
  }
  const fault = faultOf(draft.data);
  return fault === null ? null : { field: "data", message: fault.message };
}

/**
 * The body of the request.
 *
 * @param {Draft} draft without faults
 */
export function bodyOf({ type, priority, target, value, message, data }) {
  const named = target !== "broadcast" && value.trim() !== "";
  return {
    type: type.trim(),
    priority,
    target,
    data: data.trim() === "" ? {} : JSON.parse(data),
    ...(named && { targetValue: value.trim() }),
    ...(message !== "" && { message }),
  };
}

/**
 * @param {{ target: Target, value: string }} sent
 */
export function audienceOf({ target, value }) {
  if (target === "broadcast") return "everyone";
  return target === "role" ? `role ${value}` : `user ${value}`;
}
