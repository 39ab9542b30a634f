import { type TidewireError, thrown, toError } from "./failure.js";
import type { Action, Effect, Link, Settings, Signal, State, Timer } from "./model.js";
import { watchPage } from "./page.js";
import {
  type EventSourceConstructor,
  type Fetch,
  type GivenToken,
  requestOf,
  type Source,
  urlsOf,
} from "./source.js";
import { initial, reduce } from "./state.js";
import { type Status, statusOf } from "./status.js";
import { openEventSource } from "./transports/eventsource.js";
import { poll } from "./transports/polling.js";
import { openStream } from "./transports/sse.js";
import type { Transport } from "./transports/transport.js";
import type { Gap, Handlers, KnownEvents } from "./types.js";

export interface SSEClientOptions<Events = KnownEvents> {
  /** The path or URL of the streams: `/api/sse`. Outside a page it must be a URL. */
  endpoint?: string;
  /** That of the polls, where it does not lie beside it. */
  pollingEndpoint?: string;
  /** That of the tokens, where it does not lie beside it. */
  tokenEndpoint?: string;
  /** Who you are, in development mode only. */
  userId?: string;
  /** What this client calls itself, for those who administer the server. */
  clientType?: string;
  /** A token that does not change. */
  token?: string;
  /** Gets a token: before the first connection, when it is to be renewed, and after a 401. */
  getToken?: () => GivenToken | Promise<GivenToken>;
  /** Event types that are wanted; without it, all. */
  types?: readonly string[];
  /** Topics that are wanted. */
  topics?: readonly string[];
  /** Where to start: a cursor (of a snapshot), `earliest`, Unix milliseconds; else `latest`. */
  since?: string;
  /** Further query parameters. */
  params?: Readonly<Record<string, string>>;
  /** Further headers; a native EventSource cannot send them. */
  headers?: Readonly<Record<string, string>>;
  /** Whether cookies go to another origin. */
  withCredentials?: boolean;
  /** Whether it connects again by itself. Default: true. */
  autoReconnect?: boolean;
  /** After so many failures of streams in a row it polls. Default: 5. */
  maxReconnectAttempts?: number;
  /** Within so many milliseconds a connection must prove itself. Default: 10,000. */
  openTimeout?: number;
  /** Writes to the console what happens. */
  debug?: boolean;
  // Which events there are is declared, and not guessed from the handlers.
  eventHandlers?: NoInfer<Handlers<Events>>;
  /** Something was missed: fetch anew what depends on it. */
  onGap?: (gap: Gap) => void;
  /** Something failed; `fatal` says whether the client has stopped. */
  onError?: (error: TidewireError) => void;
  /** How streams are read. Default: by `fetch`; where it cannot stream, by `EventSource`. */
  streaming?: "fetch" | "eventsource";
  fetch?: Fetch;
  EventSource?: EventSourceConstructor;
}

type Handler = (event: never) => void;

/** A poll is held for so long. */
const HOLD = 25_000;
/** `setTimeout` takes no more. */
const LONGEST = 2 ** 31 - 1;

/**
 * Events as they happen: over a stream, or by polling where streams do not get through. Handlers
 * get each event once, in the order of the log, whichever way it came.
 *
 * It runs what `reduce` decides: it keeps the links and timers that the state has, and carries out
 * the effects.
 */
export class SSEClient<Events = KnownEvents> {
  readonly #options: SSEClientOptions<Events>;
  readonly #handlers = new Map<string, Set<Handler>>();
  readonly #listeners = new Set<() => void>();
  readonly #links = new Map<number, () => void>();
  readonly #timers = new Map<Timer, { due: number; handle: ReturnType<typeof setTimeout> }>();
  readonly #queue: Action[] = [];
  readonly #instanceId = randomName();
  #state: State;
  #status: Status;
  #source: Source | null = null;
  #token: string | null;
  #unwatch: (() => void) | null = null;
  #running = false;
  /** How far the clock was set back meanwhile. */
  #skew = 0;

  constructor(options: SSEClientOptions<Events> = {}) {
    this.#options = options;
    this.#token = options.token ?? null;
    const settings: Settings = {
      autoReconnect: options.autoReconnect ?? true,
      maxReconnectAttempts: options.maxReconnectAttempts ?? 5,
      openTimeout: options.openTimeout ?? 10_000,
      stableAfter: 30_000,
      hold: HOLD,
      backoff: { first: 500, last: 30_000 },
      refreshable: options.getToken !== undefined,
    };
    this.#state = initial(settings);
    this.#status = statusOf(this.#state, null);
    for (const [type, handler] of Object.entries(options.eventHandlers ?? {})) {
      if (typeof handler === "function") this.#add(type, handler as Handler);
    }
  }

  /** Connects, if it is not connected: from where it was, or as `since` says. */
  connect(): void {
    this.#start("connect");
  }

  /** Ends the connection. Nothing is left open; the cursor stays, for the next `connect`. */
  disconnect(): void {
    this.#dispatch({ type: "disconnect" });
  }

  /** Connects anew, by a stream, as if nothing had failed. */
  reconnect(): void {
    this.#start("reconnect");
  }

  /** Tries a stream now. If it fails, polling takes over as ever. */
  forceSSE(): void {
    this.#start("forceSSE");
  }

  /** Polls, and tries no streams, until `forceSSE` or `reconnect`. */
  forcePolling(): void {
    this.#start("forcePolling");
  }

  /** How it stands. The same object as long as nothing changes. */
  getStatus(): Status {
    return this.#status;
  }

  /** Everything up to here was handed to the handlers; null before the first connection. */
  get cursor(): string | null {
    return this.#state.cursor;
  }

  /** Calls `listener` whenever `getStatus` has something new. Returns what ends that. */
  subscribe(listener: () => void): () => void {
    this.#listeners.add(listener);
    return () => this.#listeners.delete(listener);
  }

  /** Adds a handler. Returns what removes it. */
  on<Type extends keyof Handlers<Events> & string>(
    type: Type,
    handler: NonNullable<Handlers<Events>[Type]>,
  ): () => void {
    this.#add(type, handler as Handler);
    return () => this.off(type, handler);
  }

  /** Removes a handler. */
  off<Type extends keyof Handlers<Events> & string>(
    type: Type,
    handler: NonNullable<Handlers<Events>[Type]>,
  ): void {
    this.#handlers.get(type)?.delete(handler as Handler);
  }

  #add(type: string, handler: Handler): void {
    const handlers = this.#handlers.get(type);
    if (handlers === undefined) this.#handlers.set(type, new Set([handler]));
    else handlers.add(handler);
  }

  #start(type: "connect" | "reconnect" | "forceSSE" | "forcePolling"): void {
    // Not when it is made: that happens where pages are rendered, too.
    this.#source ??= this.#makeSource();
    this.#dispatch({ type });
  }

  #makeSource(): Source {
    const options = this.#options;
    return {
      urls: urlsOf(options.endpoint ?? "/api/sse", options.pollingEndpoint, options.tokenEndpoint),
      params: {
        instanceId: this.#instanceId,
        userId: options.userId,
        clientType: options.clientType,
        types: options.types?.join(),
        topics: options.topics?.join(),
        ...options.params,
      },
      headers: options.headers ?? {},
      since: options.since ?? "latest",
      hold: HOLD,
      withCredentials: options.withCredentials ?? false,
      // As a method of the window it wants to be called.
      fetch: options.fetch ?? ((url, init) => fetch(url, init)),
      EventSource: options.EventSource ?? globalThis.EventSource,
      token: () => this.#token,
    };
  }

  /** Lets an action happen. What a handler asks for happens after what it was called for. */
  #dispatch(action: Action): void {
    this.#queue.push(action);
    if (this.#running) return;
    this.#running = true;
    try {
      for (let next = this.#queue.shift(); next !== undefined; next = this.#queue.shift()) {
        const step = reduce(this.#state, next, { now: this.#now(), random: Math.random() });
        this.#log(next, step.state);
        this.#state = step.state;
        this.#keepLinks();
        this.#keepTimers();
        this.#keepWatch();
        for (const effect of step.effects) this.#perform(effect);
        this.#show();
      }
    } finally {
      this.#running = false;
    }
  }

  #keepLinks(): void {
    const { link, probe } = this.#state;
    for (const [run, close] of this.#links) {
      if (run === link?.run || run === probe?.run) continue;
      this.#links.delete(run);
      close();
    }
    for (const wanted of [link, probe]) {
      if (wanted !== null && !this.#links.has(wanted.run)) this.#open(wanted);
    }
  }

  #open(link: Link): void {
    const source = this.#source;
    if (source === null) return;
    const tell = (signal: Signal) => this.#dispatch({ type: "signal", run: link.run, signal });
    const transport = link.method === "sse" ? this.#stream() : poll;
    try {
      this.#links.set(link.run, transport(source, link, tell));
    } catch (error) {
      // An EventSource that is missing, or forbidden by the page's policy.
      tell({ type: "failed", failure: thrown(error, "NO_STREAMS", "fallback_polling") });
    }
  }

  #stream(): Transport {
    const { streaming = canStream() ? "fetch" : "eventsource" } = this.#options;
    return streaming === "fetch" ? openStream : openEventSource;
  }

  #keepTimers(): void {
    const { timers } = this.#state;
    for (const [timer, { due, handle }] of this.#timers) {
      const wanted = timers[timer];
      // One that is due later is let ring, and set again then: a stream moves its own with each
      // event.
      if (wanted !== undefined && wanted >= due) continue;
      clearTimeout(handle);
      this.#timers.delete(timer);
    }
    for (const [timer, due] of Object.entries(timers) as [Timer, number][]) {
      if (!this.#timers.has(timer)) this.#set(timer, due);
    }
  }

  #set(timer: Timer, due: number): void {
    const delay = Math.min(Math.max(0, due - this.#now()), LONGEST);
    const rings = this.#now() + delay;
    const handle = setTimeout(() => {
      this.#timers.delete(timer);
      const wanted = this.#state.timers[timer];
      if (wanted === undefined) return;
      // So late it is at least, even if somebody has set the clock back.
      this.#skew += Math.max(0, rings - this.#now());
      if (wanted > this.#now()) this.#set(timer, wanted);
      else this.#dispatch({ type: "timer", timer });
    }, delay);
    this.#timers.set(timer, { due, handle });
  }

  #now(): number {
    return Date.now() + this.#skew;
  }

  /** The page is watched as long as there is something to do about it. */
  #keepWatch(): void {
    const { phase } = this.#state;
    const wanted = phase !== "idle" && phase !== "stopped";
    if (wanted && this.#unwatch === null) {
      this.#unwatch = watchPage((type) => this.#dispatch({ type }));
    } else if (!wanted && this.#unwatch !== null) {
      this.#unwatch();
      this.#unwatch = null;
    }
  }

  #perform(effect: Effect): void {
    switch (effect.type) {
      case "event":
        if (effect.event.type !== "*") this.#emit(effect.event.type, effect.event);
        this.#emit("*", effect.event);
        return;
      case "control":
        this.#emit(effect.control.type, effect.control);
        if (effect.control.type === "gap") this.#call(this.#options.onGap, effect.control.data);
        return;
      case "disconnected":
        this.#emit("disconnected", { type: "disconnected", data: effect.data });
        return;
      case "error":
        this.#call(this.#options.onError, toError(effect.failure, effect.fatal));
        return;
      case "fetchToken":
        void this.#fetchToken(effect.run);
        return;
      case "extend":
        void this.#extend(effect.clientId);
        return;
    }
  }

  #emit(type: string, event: unknown): void {
    // A copy: a handler may remove itself.
    for (const handler of [...(this.#handlers.get(type) ?? [])])
      this.#call(handler, event as never);
  }

  /** Calls what is not ours. What it throws is not ours either. */
  #call<Argument>(
    handler: ((argument: Argument) => unknown) | undefined,
    argument: Argument,
  ): void {
    try {
      const result = handler?.(argument);
      if (result instanceof Promise) result.catch(complain);
    } catch (error) {
      complain(error);
    }
  }

  async #fetchToken(run: number): Promise<void> {
    try {
      const given = await this.#options.getToken?.();
      if (run !== this.#state.fetching || given === undefined) return;
      this.#token = typeof given === "string" ? given : given.token;
      const refreshAfter = typeof given === "string" ? null : given.refreshAfter + this.#skew;
      this.#dispatch({ type: "token", run, refreshAfter });
    } catch (error) {
      this.#dispatch({ type: "tokenFailed", run, failure: thrown(error, "TOKEN_FAILED") });
    }
  }

  /** Lets the open stream live as long as the new token. */
  async #extend(clientId: string): Promise<void> {
    const source = this.#source;
    if (source === null) return;
    try {
      const answer = await source.fetch(source.urls.refresh, {
        ...requestOf(source, this.#token, { "Content-Type": "application/json" }),
        method: "POST",
        body: JSON.stringify({ clientId }),
      });
      await answer.body?.cancel();
    } catch {
      // Then the stream ends with the old one, and the next begins with the new one.
    }
  }

  #show(): void {
    const status = statusOf(this.#state, this.#status);
    if (status === this.#status) return;
    this.#status = status;
    for (const listener of [...this.#listeners]) this.#call(listener, undefined);
  }

  #log(action: Action, state: State): void {
    if (!this.#options.debug) return;
    const what = action.type === "signal" ? `${action.type} ${action.signal.type}` : action.type;
    console.debug(`[tidewire] ${what} → ${state.phase} (${state.method})`);
  }
}

function canStream(): boolean {
  return typeof ReadableStream !== "undefined" && "body" in Response.prototype;
}

function randomName(): string {
  // Not `randomUUID`: it is missing where a page came over plain HTTP.
  const bytes = crypto.getRandomValues(new Uint8Array(12));
  return Array.from(bytes, (byte) => byte.toString(16).padStart(2, "0")).join("");
}

function complain(error: unknown): void {
  console.error("[tidewire] A handler failed:", error);
}
