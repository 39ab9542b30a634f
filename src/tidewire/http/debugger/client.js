/** The client of the very server that this page came from, as every page gets it. */
// @ts-expect-error It is where the server has it, and not beside this file.
import * as tidewire from "../../tidewire.js";

/**
 * @typedef {import("../../../../client/src/index.js").Status} Status
 * @typedef {import("../../../../client/src/index.js").Envelope} Envelope
 * @typedef {import("../../../../client/src/index.js").Connected} Connected
 * @typedef {import("../../../../client/src/index.js").Ping} Ping
 * @typedef {import("../../../../client/src/index.js").Gap} Gap
 * @typedef {import("../../../../client/src/index.js").TidewireError} TidewireError
 * @typedef {import("../../../../client/src/index.js").Priority} Priority
 */

/** @type {typeof import("../../../../client/src/index.js").SSEClient} */
export const SSEClient = tidewire.SSEClient;
