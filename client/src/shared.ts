import { SSEClient, type SSEClientOptions } from "./client.js";
import type { TidewireError } from "./failure.js";
import { clientOptionsOf, type HybridRealtimeOptions } from "./options.js";
import { followSnapshots, IDLE, type Snapshot } from "./snapshot.js";

/** What a component asks for. */
export interface SharedOptions<Events> extends HybridRealtimeOptions<Events> {
  /** Whether there shall be a connection. Default: true. */
  enabled?: boolean;
  /** What else tells connections apart: whom `getToken`, or the session, speaks for. */
  connectionKey?: string;
}

/** Those who share a connection may each have types of events of their own. */
export type AnyEvents = Record<string, unknown>;

/** Who holds a connection. */
export interface Holder {
  /** There is a new snapshot. */
  show(): void;
  fail(error: TidewireError): void;
}

/** Nobody has opened it yet. */
export const AWAITED: typeof IDLE = { ...IDLE, connectionStatus: "connecting" };

/** A connection that nobody holds is kept for so long, in milliseconds: development tools, and
 *  pages that give way to others, let go of one and take it again at once. */
const LINGER = 200;

const ENDED: ReadonlySet<string> = new Set(["disconnected", "stopped"]);

// Of the page, as its network is: two components that know nothing of each other share. Where pages
// are rendered it stays empty, since nothing is mounted there.
const connections = new Map<string, SharedConnection>();

/**
 * The name of the connection that options select; null: of none. Values select it, in whatever
 * order they are written. Functions do not: they are other ones at each render, and the newest is
 * called.
 */
export function connectionKeyOf<Events>(options: SharedOptions<Events>): string | null {
  if (options.enabled === false) return null;
  const { eventHandlers: _, ...rest } = clientOptionsOf(options);
  const values = Object.entries(rest).filter(([, value]) => typeof value !== "function");
  // A client knows from its beginning whether it can get tokens.
  return JSON.stringify([Object.fromEntries(values), rest.getToken !== undefined], sorted);
}

function sorted(name: string, value: unknown): unknown {
  if (Array.isArray(value)) return name === "" ? value : [...value].sort();
  if (typeof value !== "object" || value === null) return value;
  return Object.fromEntries(Object.entries(value).sort(([a], [b]) => (a < b ? -1 : 1)));
}

/** A connection that components share: open as long as one of them holds it. */
export class SharedConnection {
  /** The newest that were given. */
  options: SharedOptions<AnyEvents>;
  snapshot: Snapshot<AnyEvents> = AWAITED;
  readonly client: SSEClient<AnyEvents>;
  readonly #start: string | undefined;
  readonly #holders = new Set<Holder>();
  readonly #ends: readonly (() => void)[];
  #opened = false;
  #moved = false;
  #lingering: ReturnType<typeof setTimeout> | undefined;

  private constructor(
    readonly key: string,
    options: SharedOptions<AnyEvents>,
    start: string | undefined,
  ) {
    this.options = options;
    this.#start = start;
    this.client = new SSEClient(this.#clientOptions());
    const move = () => {
      this.#moved = true;
    };
    this.#ends = [
      followSnapshots(this.client, (snapshot) => this.#show(snapshot)),
      this.client.on("*", move),
      this.client.on("gap", move),
    ];
  }

  /**
   * The connection of that name for somebody who has seen everything up to `position`; without
   * one, everything so far. If none is open that leads on from there, another is made.
   */
  static find(
    key: string,
    options: SharedOptions<AnyEvents>,
    position: string | undefined,
  ): SharedConnection {
    const open = connections.get(key);
    if (open?.continues(position)) return open;
    return new SharedConnection(key, options, position);
  }

  /**
   * Keeps it open, and opens it for the first. Handlers are to be there before.
   *
   * @returns lets go of it.
   */
  hold(holder: Holder): () => void {
    clearTimeout(this.#lingering);
    this.#holders.add(holder);
    if (!this.#opened) {
      this.#opened = true;
      connections.set(this.key, this);
      this.client.connect();
    } else if (this.#holders.size === 1 && ENDED.has(this.client.getStatus().connectionStatus)) {
      // It was ended, and let go of by all; whoever comes anew wants one.
      this.client.connect();
    }
    return () => {
      this.#holders.delete(holder);
      if (this.#holders.size === 0) this.#lingering = setTimeout(() => this.#close(), LINGER);
    };
  }

  /** Whether somebody who has seen everything up to `position` misses nothing here. */
  continues(position: string | undefined): boolean {
    if (position === undefined || position === this.client.cursor) return true;
    return position === this.#start && !this.#moved;
  }

  #close(): void {
    if (connections.get(this.key) === this) connections.delete(this.key);
    this.client.disconnect();
    for (const end of this.#ends) end();
  }

  #show(snapshot: Snapshot<AnyEvents>): void {
    this.snapshot = snapshot;
    for (const holder of [...this.#holders]) holder.show();
  }

  #clientOptions(): SSEClientOptions<AnyEvents> {
    const {
      enabled: _enabled,
      connectionKey: _key,
      eventHandlers: _handlers,
      onGap: _onGap,
      getToken,
      ...rest
    }: SharedOptions<AnyEvents> = clientOptionsOf<AnyEvents>(this.options);
    return {
      ...rest,
      ...(this.#start !== undefined && { since: this.#start }),
      ...(getToken && { getToken: () => (clientOptionsOf(this.options).getToken ?? getToken)() }),
      fetch: (url, init) => (this.options.fetch ?? fetch)(url, init),
      onError: (error) => {
        for (const holder of [...this.#holders]) holder.fail(error);
      },
    };
  }
}
