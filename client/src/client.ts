import { Connection } from "./connection.js";
import { type TidewireError, toError } from "./failure.js";
import type { FeedOptions, feedOf } from "./feed.js";
import type { Command, Delivery } from "./model.js";
import { watchPage } from "./page.js";
import type { Status } from "./status.js";
import { poll } from "./transports/polling.js";
import type { Gap, Handlers, KnownEvents } from "./types.js";

export interface SSEClientOptions<Events = KnownEvents> extends FeedOptions {
  // Which events there are is declared, and not guessed from the handlers.
  eventHandlers?: NoInfer<Handlers<Events>>;
  /** Something was missed: fetch anew what depends on it. */
  onGap?: (gap: Gap) => void;
  /** Something failed; `fatal` says whether the client has stopped. */
  onError?: (error: TidewireError) => void;
}

type Handler = (event: never) => void;

/**
 * Events as they happen: over a stream, or by polling where streams do not get through. Handlers
 * get each event once, in the order of the log, whichever way it came.
 */
export class SSEClient<Events = KnownEvents> {
  readonly #options: SSEClientOptions<Events>;
  readonly #handlers: Record<string, Set<Handler>> = Object.create(null);
  readonly #listeners = new Set<() => void>();
  #status: Status;
  /** What brings events: a connection of our own, or one that tabs share. */
  #feed: ReturnType<typeof feedOf>;
  /** What is to be done as soon as it is there to be shared. */
  #wanted: Command | null = null;
  /** Whether it is known that it is to be shared, or not. */
  #chosen: boolean;
  #sharing: Promise<void> | undefined;

  constructor(options: SSEClientOptions<Events> = {}) {
    this.#options = options;
    this.#feed = new Connection(options, null, (deliveries) => {
      this.#deliver(deliveries);
      this.#show();
    });
    this.#status = this.#feed.status;
    const { persistCursor, shareConnection = typeof document !== "undefined" } = options;
    this.#chosen = !(persistCursor || shareConnection);
    for (const [type, handler] of Object.entries(options.eventHandlers ?? {})) {
      if (typeof handler === "function") this.#add(type, handler as Handler);
    }
  }

  /** Connects, if it is not connected: from where it was, or as `since` says. */
  connect(): void {
    this.#do("connect");
  }

  /** Ends the connection. Nothing is left open; the cursor stays, for the next `connect`. */
  disconnect(): void {
    this.#do("disconnect");
  }

  /** Connects anew, by a stream, as if nothing had failed. */
  reconnect(): void {
    this.#do("reconnect");
  }

  /** Tries a stream now. If it fails, polling takes over as ever. */
  forceSSE(): void {
    this.#do("forceSSE");
  }

  /** Polls, and tries no streams, until `forceSSE` or `reconnect`. */
  forcePolling(): void {
    this.#do("forcePolling");
  }

  /** How it stands. The same object as long as nothing changes. */
  getStatus(): Status {
    return this.#status;
  }

  /** Everything up to here was handed to the handlers; null before the first connection. */
  get cursor(): string | null {
    return this.#feed.cursor;
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
    this.#handlers[type]?.delete(handler as Handler);
  }

  #add(type: string, handler: Handler): void {
    this.#handlers[type] ??= new Set();
    this.#handlers[type].add(handler);
  }

  #do(command: Command): void {
    if (this.#chosen) {
      this.#feed.do(command);
      return;
    }
    if (command === "disconnect") this.#wanted = null;
    else {
      const connection = this.#feed as Connection;
      // A bad address is told to the caller.
      void connection.source;
      this.#wanted = command;
      this.#sharing ??= this.#share(connection);
    }
    this.#show();
  }

  async #share(connection: Connection): Promise<void> {
    try {
      const { feedOf } = await import("./feed.js");
      this.#feed = feedOf(this.#options, connection, {
        Connection,
        poll,
        watchPage,
        deliver: (deliveries) => this.#deliver(deliveries),
        changed: () => this.#show(),
      });
    } catch {
      // Without the code for it, it is not shared.
    }
    this.#chosen = true;
    const command = this.#wanted;
    this.#wanted = null;
    if (command !== null) this.#feed.do(command);
    this.#show();
  }

  #deliver(deliveries: readonly Delivery[]): void {
    for (const delivery of deliveries) this.#perform(delivery);
  }

  #perform(delivery: Delivery): void {
    switch (delivery.type) {
      case "event":
        if (delivery.event.type !== "*") this.#emit(delivery.event.type, delivery.event);
        this.#emit("*", delivery.event);
        return;
      case "control":
        this.#emit(delivery.control.type, delivery.control);
        if (delivery.control.type === "gap") this.#call(this.#options.onGap, delivery.control.data);
        return;
      case "error":
        this.#call(this.#options.onError, toError(delivery.failure, delivery.fatal));
        return;
    }
  }

  #emit(type: string, event: unknown): void {
    // A copy: a handler may remove itself.
    for (const handler of [...(this.#handlers[type] ?? [])]) this.#call(handler, event as never);
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

  #show(): void {
    const { status: known } = this.#feed;
    const status = this.#wanted ? { ...known, connectionStatus: "connecting" as const } : known;
    if (status === this.#status) return;
    this.#status = status;
    for (const listener of [...this.#listeners]) this.#call(listener, undefined);
  }
}

function complain(error: unknown): void {
  console.error("[tidewire] A handler failed:", error);
}
