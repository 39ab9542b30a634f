/** Why something could not be had, and what to do about it. */

/**
 * @typedef {"unauthenticated" | "forbidden" | "missing" | "limited" | "refused" | "away"} Kind
 * @typedef {object} Trouble
 * @property {Kind} kind
 * @property {string} title
 * @property {string} detail what the server says, or what was noticed
 * @property {string} advice what to do
 * @property {string} code
 */

/** @type {Readonly<Record<Kind, readonly [title: string, advice: string]>>} */
const TOLD = {
  unauthenticated: [
    "The server does not know who asks",
    "Say who you are in Connection, and look here again.",
  ],
  forbidden: [
    "This is for administrators",
    "Connect with the token or the session of somebody who has an administrator's role.",
  ],
  missing: [
    "This server does not offer this",
    "It comes with a newer version. Everything else works without it.",
  ],
  limited: ["That was too often", "Wait a moment; the server says when it takes more."],
  refused: ["The server refused this", "Change what is named above."],
  away: ["The server does not answer", "Look whether it runs. This is tried again by itself."],
};

/**
 * @param {number} status of HTTP; 0: there was no answer
 * @param {any} body a problem of RFC 9457, or anything else
 * @returns {Trouble}
 */
export function troubleOf(status, body) {
  const kind = kindOf(status, body?.code);
  const [title, advice] = TOLD[kind];
  const detail = typeof body?.detail === "string" ? body.detail : "";
  const code = typeof body?.code === "string" ? body.code : status === 0 ? "" : `HTTP_${status}`;
  return { kind, title, detail, advice, code };
}

const READ_MS = 2_000;
const RETRY_MS = 10_000;

/**
 * When to ask again for what is seen. A server counts refused credentials, and takes no more of an
 * address after 30 a minute.
 *
 * @param {Trouble | null} trouble of the last time
 * @returns {number} milliseconds
 */
export function pauseAfter(trouble) {
  return trouble === null ? READ_MS : RETRY_MS;
}

/**
 * @param {number} status
 * @param {unknown} code
 * @returns {Kind}
 */
function kindOf(status, code) {
  if (status === 401) return "unauthenticated";
  if (status === 403) return "forbidden";
  // Something that is gone is told by its own code.
  if (status === 405 || status === 501) return "missing";
  if (status === 404) return "missing";
  if (status === 429) return "limited";
  if (status >= 400 && status < 500) return "refused";
  return code === undefined || status >= 500 || status === 0 ? "away" : "refused";
}
