/** Who the page says that it is. A token stays in memory: it is in no URL, storage, log or export. */

/**
 * @typedef {"development" | "token" | "session"} Way
 * @typedef {object} Who as it was typed; lists are comma-separated
 * @property {Way} way
 * @property {string} userId
 * @property {string} roles
 * @property {string} permissions
 * @property {string} token
 */

/** @type {Who} */
export const NOBODY = { way: "session", userId: "", roles: "", permissions: "", token: "" };

/** Who asks for what only administrators get, where anybody may be one. */
const ADMINISTRATOR = "debugger";

/**
 * @param {string} text
 * @returns {string[]}
 */
export function listed(text) {
  return text
    .split(",")
    .map((name) => name.trim())
    .filter((name) => name !== "");
}

/**
 * What is missing, by field.
 *
 * @param {Who} who
 * @returns {{ field: "userId" | "token", message: string } | null}
 */
export function lackOf(who) {
  if (who.way === "development" && who.userId.trim() === "") {
    return { field: "userId", message: "Say as which user." };
  }
  if (who.way === "token" && who.token.trim() === "") {
    return { field: "token", message: "Paste a token. It stays in the memory of this page." };
  }
  return null;
}

/**
 * @param {Who} who
 * @returns {Record<string, string>} of the query
 */
export function paramsOf(who) {
  if (who.way !== "development") return {};
  const roles = listed(who.roles).join(",");
  const permissions = listed(who.permissions).join(",");
  return {
    userId: who.userId.trim(),
    ...(roles !== "" && { roles }),
    ...(permissions !== "" && { permissions }),
  };
}

/**
 * @param {Who} who
 * @returns {Record<string, string>}
 */
export function headersOf(who) {
  return who.way === "token" ? { Authorization: `Bearer ${who.token.trim()}` } : {};
}

/**
 * A cookie beside a token would say twice who asks.
 *
 * @param {Who} who
 * @returns {RequestCredentials}
 */
export function credentialsOf(who) {
  return who.way === "session" ? "same-origin" : "omit";
}

/**
 * The same, with an administrator's role where one only has to say so.
 *
 * @param {Who} who
 * @returns {Who}
 */
export function asAdministrator(who) {
  if (who.way !== "development") return who;
  return { ...who, userId: ADMINISTRATOR, roles: "ADMIN" };
}

/**
 * What a token says, without looking whether it is true.
 *
 * @param {string} token
 * @returns {{ sub: string, roles: string[], exp: number | null } | null} `exp`: Unix milliseconds
 */
export function claimsOf(token) {
  const payload = token.trim().split(".")[1];
  if (payload === undefined) return null;
  try {
    const bytes = Uint8Array.from(
      atob(payload.replaceAll("-", "+").replaceAll("_", "/")),
      (character) => character.charCodeAt(0),
    );
    const claims = JSON.parse(new TextDecoder().decode(bytes));
    if (typeof claims?.sub !== "string") return null;
    return {
      sub: claims.sub,
      roles: Array.isArray(claims.roles) ? claims.roles.map(String) : [],
      exp: typeof claims.exp === "number" ? claims.exp * 1000 : null,
    };
  } catch {
    return null;
  }
}

/**
 * @param {Who} who
 * @returns {string}
 */
export function nameOf(who) {
  if (who.way === "development") {
    const roles = listed(who.roles);
    return roles.length === 0 ? who.userId.trim() : `${who.userId.trim()} (${roles.join(", ")})`;
  }
  if (who.way === "token") return claimsOf(who.token)?.sub ?? "the bearer of a token";
  return "the session of this page";
}

/** @type {Readonly<Record<string, string>>} */
const PROOFS = {
  parameter_dev: "Whoever it says it is (development)",
  jwt_token: "The holder of a token",
  bearer_token: "The holder of a token",
  session: "A session",
};

/**
 * As whom the server takes somebody.
 *
 * @param {string | undefined} method as the server names it
 */
export function provenBy(method = "") {
  return PROOFS[method] ?? method;
}

/**
 * Takes tokens out of a text.
 *
 * @param {string} text
 * @param {string} token
 */
export function redacted(text, token) {
  const known = token.trim();
  const without = known === "" ? text : text.replaceAll(known, "•••");
  // What looks like a JWT is one, wherever it came from.
  return without.replaceAll(/\beyJ[\w-]+\.[\w-]+\.[\w-]*/g, "•••");
}
