/** Who is asking, and for what: those who ask for the same, as the same user, share a connection. */
import type { ConnectionOptions } from "./connection.js";
import type { GivenToken, Source } from "./source.js";
import type { PollAnswer } from "./types.js";

/** Nobody waits longer to learn who is asking, in milliseconds. */
const IDENTITY = 5_000;

/** Who is asking, and the token that said it. */
export interface Identity {
  readonly user: string;
  readonly given: GivenToken | null;
}

/** With the name of those who ask for the same. */
export interface Asker extends Identity {
  readonly name: string;
}

/**
 * Finds out who is asking; null if that is not possible now.
 *
 * @param poll asks the server, which knows it where neither an option nor a token says it.
 */
export function identityOf(
  options: ConnectionOptions,
  poll: () => Promise<PollAnswer | null>,
): Promise<Identity | null> {
  return within(IDENTITY, find(options, poll));
}

async function find(
  options: ConnectionOptions,
  poll: () => Promise<PollAnswer | null>,
): Promise<Identity | null> {
  const { userId, token = null, getToken } = options;
  if (userId !== undefined) return { user: `user ${userId}`, given: null };
  let given: GivenToken | null = null;
  try {
    if (getToken !== undefined) given = await getToken();
  } catch {
    // The connection will meet the same, and knows what to do about it.
    return null;
  }
  let user: string | null;
  if (given !== null || token !== null) user = subjectOf((given ?? token) as GivenToken);
  else {
    const answer = await poll();
    user = answer && `user ${answer.userId}`;
  }
  return user === null ? null : { user, given };
}

/**
 * Whose a token is, and for what: two of one user that may see different things are not shared.
 * Null if it does not say.
 */
export function subjectOf(given: GivenToken): string | null {
  const token = typeof given === "string" ? given : given.token;
  try {
    const part = token.split(".")[1] ?? "";
    const claims = JSON.parse(atob(part.replace(/-/g, "+").replace(/_/g, "/")));
    if (typeof claims.sub !== "string") return null;
    const rights = [claims.roles, claims.permissions, claims.topics].map((names) =>
      Array.isArray(names) ? [...names].sort() : names,
    );
    return `user ${JSON.stringify([claims.sub, ...rights])}`;
  } catch {
    return null;
  }
}

/** The name that lock and channel have: of everything that says what is read, and how. */
export async function nameOf(
  options: ConnectionOptions,
  source: Source,
  user: string,
): Promise<string> {
  const { urls, params, headers, withCredentials } = source;
  const { autoReconnect, maxReconnectAttempts, openTimeout, streaming } = options;
  const text = JSON.stringify([
    // It grows with the form of the messages: tabs with another version do not understand us.
    1,
    user,
    [urls.stream, urls.polling, { ...params, instanceId: null }, headers, withCredentials],
    [autoReconnect, maxReconnectAttempts, openTimeout, streaming],
  ]);
  const digest = await crypto.subtle.digest("SHA-256", new TextEncoder().encode(text));
  const bytes = new Uint8Array(digest, 0, 16);
  return `tidewire-${Array.from(bytes, (byte) => byte.toString(16).padStart(2, "0")).join("")}`;
}

/** What comes within `delay`; null if nothing does. */
async function within<Value>(delay: number, coming: Promise<Value>): Promise<Value | null> {
  let timer: ReturnType<typeof setTimeout> | undefined;
  const late = new Promise<null>((resolve) => {
    timer = setTimeout(() => resolve(null), delay);
  });
  try {
    return await Promise.race([coming, late]);
  } finally {
    clearTimeout(timer);
  }
}
