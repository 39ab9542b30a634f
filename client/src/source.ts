import type { SSEToken } from "./types.js";

/** As much of `fetch` as is used, so that any other will do. */
export type Fetch = (url: string, init: RequestInit) => Promise<Response>;

/** As much of `EventSource` as is used. */
export interface EventSourceLike {
  onmessage: ((event: MessageEvent) => void) | null;
  onerror: ((event: Event) => void) | null;
  close(): void;
}

export type EventSourceConstructor = new (
  url: string,
  init?: { withCredentials?: boolean },
) => EventSourceLike;

/** Values by name, of which some may be missing. */
export type Named = Readonly<Record<string, string | null | undefined>>;

/** Where events come from, and who asks for which: what every request of a client says. */
export interface Source {
  readonly urls: Urls;
  /** Query parameters of streams and polls. */
  readonly params: Named;
  readonly headers: Named;
  /** Where to start, as long as there is no cursor. */
  readonly since: string;
  /** How long a poll may be held, in milliseconds. */
  readonly hold: number;
  readonly withCredentials: boolean;
  readonly fetch: Fetch;
  readonly EventSource: EventSourceConstructor | undefined;
  /** The token of this moment. */
  token(): string | null;
}

export interface Urls {
  readonly stream: string;
  readonly polling: string;
  readonly token: string;
  readonly refresh: string;
}

const STREAM = /\/(?:realtime\/)?sse$/;

/** The other paths of a server, beside that of its streams. */
export function urlsOf(endpoint: string, polling?: string, token?: string): Urls {
  const stream = absolute(endpoint);
  const beside = (path: string) => {
    const url = new URL(stream);
    url.pathname = url.pathname.replace(STREAM, "") + path;
    return url.href;
  };
  const tokens = token === undefined ? beside("/auth/sse-token") : absolute(token);
  return {
    stream,
    polling: polling === undefined ? beside("/realtime/polling") : absolute(polling),
    token: tokens,
    refresh: `${tokens}/refresh`,
  };
}

function absolute(url: string): string {
  // Outside a page there is nothing that a path could be relative to; then it must not be one.
  return new URL(url, globalThis.location?.href).href;
}

/** A URL with query parameters. */
export function withParams(url: string, params: Named): string {
  const full = new URL(url);
  for (const [name, value] of given(params)) full.searchParams.set(name, value);
  return full.href;
}

/** What every `fetch` for a source is given. */
export function requestOf(
  source: Pick<Source, "headers" | "withCredentials">,
  token: string | null,
  headers: Named,
  signal: AbortSignal | null = null,
): RequestInit {
  return {
    cache: "no-store",
    credentials: source.withCredentials ? "include" : "same-origin",
    headers: given({
      ...source.headers,
      ...(token && { Authorization: `Bearer ${token}` }),
      ...headers,
    }),
    signal,
  };
}

function given(values: Named): [string, string][] {
  return Object.entries(values).filter((entry): entry is [string, string] => entry[1] != null);
}

/** Where a stream without a cursor starts, as its query says it; at the head by default. */
export function startOf(source: Source, cursor: string | null): string | null {
  return cursor === null && source.since !== "latest" ? source.since : null;
}

/** A token, or a token and when to replace it. */
export type GivenToken = string | Pick<SSEToken, "token" | "refreshAfter">;
