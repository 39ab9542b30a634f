import { thrown } from "./failure.js";
import type { Action, Command, Delivery, Link, Signal, State, Timer } from "./model.js";
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
import { poll } from "./transports/polling.js";
import { openStream } from "./transports/sse.js";
import type { Transport } from "./transports/transport.js";

/** A poll is held for so long. */
const HOLD = 25_000;
/** `setTimeout` takes no more. */
const LONGEST = 2 ** 31 - 1;

/** What a connection is told. */
export interface ConnectionOptions {
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
  /** How streams are read. Default: by `fetch`; where it cannot stream, by `EventSource`. */
  streaming?: "fetch" | "eventsource";
  fetch?: Fetch;
  EventSource?: EventSourceConstructor;
}

/** Told of each step: what is for handlers, and the states before and after it. */
export type Listener = (deliveries: readonly Delivery[], before: State, after: State) => void;

/**
 * Runs what `reduce` decides: it keeps the links and timers that the state has, and carries out
 * the effects, but for those that are for handlers.
 */
export class Connection {
  readonly #options: ConnectionOptions;
  readonly #instanceId: string | undefined;
  readonly #listener: Listener;
  readonly #watch: typeof watchPage;
  readonly #links = new Map<number, () => void>();
  readonly #timers = new Map<Timer, { due: number; handle: ReturnType<typeof setTimeout> }>();
  readonly #queue: Action[] = [];
  #state: State;
  #status: Status;
  #source: Source | null = null;
  #token: string | null;
  #unwatch: (() => void) | null = null;
  #running = false;
  /** How far the clock was set back meanwhile. */
  #skew = 0;

  constructor(
    options: ConnectionOptions,
    cursor: string | null,
    listener: Listener,
    watch = watchPage,
    instanceId?: string,
  ) {
    this.#options = options;
    this.#instanceId = instanceId;
    this.#listener = listener;
    this.#watch = watch;
    this.#token = options.token ?? null;
    this.#state = initial(
      {
        autoReconnect: options.autoReconnect ?? true,
        maxReconnectAttempts: options.maxReconnectAttempts ?? 5,
        openTimeout: options.openTimeout ?? 10_000,
        stableAfter: 30_000,
        hold: HOLD,
        backoff: { first: 500, last: 30_000 },
        refreshable: options.getToken !== undefined,
      },
      cursor,
    );
    this.#status = statusOf(this.#state, null);
  }

  get cursor(): string | null {
    return this.#state.cursor;
  }

  /** How it stands. The same object as long as nothing changes. */
  get status(): Status {
    this.#status = statusOf(this.#state, this.#status);
    return this.#status;
  }

  /** Where it reads from, and who asks. */
  get source(): Source {
    // Not when it is made: that happens where pages are rendered, too.
    this.#source ??= this.#makeSource();
    return this.#source;
  }

  do(type: Command): void {
    // A bad address is the caller's mistake, and no failure of a connection.
    if (type !== "disconnect") this.#source ??= this.#makeSource();
    this.#dispatch({ type });
  }

  #makeSource(): Source {
    const options = this.#options;
    return {
      urls: urlsOf(options.endpoint ?? "/api/sse", options.pollingEndpoint, options.tokenEndpoint),
      params: {
        // Not `randomUUID`: it is missing where a page came over plain HTTP.
        instanceId: this.#instanceId ?? crypto.getRandomValues(new Uint32Array(3)).join("-"),
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
        const before = this.#state;
        if (this.#options.debug) {
          const { phase, method } = step.state;
          console.debug("[tidewire]", next, "→", phase, method);
        }
        this.#state = step.state;
        this.#keepLinks();
        this.#keepTimers();
        this.#keepWatch();
        const deliveries: Delivery[] = [];
        for (const effect of step.effects) {
          if (effect.type === "fetchToken") void this.#fetchToken(effect.run);
          else if (effect.type === "extend") void this.#extend(effect.clientId);
          else deliveries.push(effect);
        }
        this.#listener(deliveries, before, step.state);
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
    const tell = (signal: Signal) => this.#dispatch({ type: "signal", run: link.run, signal });
    const transport = link.method === "sse" ? this.#stream() : poll;
    this.#links.set(link.run, transport(this.source, link, tell));
  }

  #stream(): Transport {
    const { streaming = "body" in Response.prototype ? "fetch" : "eventsource" } = this.#options;
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
      this.#unwatch = this.#watch((type) => this.#dispatch({ type }));
    } else if (!wanted && this.#unwatch !== null) {
      this.#unwatch();
      this.#unwatch = null;
    }
  }

  async #fetchToken(run: number): Promise<void> {
    try {
      const given = await this.#options.getToken?.();
      if (run !== this.#state.fetching || given === undefined) return;
      this.#token = typeof given === "string" ? given : given.token;
      const due = typeof given === "string" ? 0 : given.refreshAfter;
      // What is no number is none.
      this.#dispatch({ type: "token", run, refreshAfter: due > 0 ? due + this.#skew : null });
    } catch (error) {
      this.#dispatch({ type: "tokenFailed", run, failure: thrown(error, "TOKEN_FAILED") });
    }
  }

  /** Lets the open stream live as long as the new token. */
  async #extend(clientId: string): Promise<void> {
    const { source } = this;
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
}

/** Loaded only where it is needed, which is in hardly any browser. */
const openEventSource: Transport = (source, link, tell) => {
  let closed = false;
  let close = () => {
    closed = true;
  };
  import("./transports/eventsource.js")
    .then((loaded) => {
      if (!closed) close = loaded.openEventSource(source, link, tell);
    })
    .catch((error: unknown) => {
      // It is missing, or forbidden by the page's policy.
      if (!closed)
        tell({ type: "failed", failure: thrown(error, "NO_STREAMS", "fallback_polling") });
    });
  return () => close();
};
