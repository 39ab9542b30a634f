import type { TidewireError } from "./failure.js";
import { type AnyEvents, AWAITED, SharedConnection, type SharedOptions } from "./shared.js";
import { IDLE, type Snapshot } from "./snapshot.js";
import type { ClientEvents, Envelope } from "./types.js";

/** What may be done to a connection. */
export interface Actions {
  /** Connects anew, by a stream, as if nothing had failed; also after `disconnect`. */
  readonly reconnect: () => void;
  /** Ends the connection, for all who share it, until one of them asks for it again. */
  readonly disconnect: () => void;
  /** Tries a stream now. If it fails, polling takes over as ever. */
  readonly forceSSE: () => void;
  /** Polls, and tries no streams, until `forceSSE` or `reconnect`. */
  readonly forcePolling: () => void;
}

const CONTROLS: Readonly<Record<keyof ClientEvents, true>> = {
  connected: true,
  ping: true,
  gap: true,
  authExpiring: true,
  error: true,
  disconnecting: true,
  disconnected: true,
};

/**
 * What one component has of a shared connection: a hold on it as long as it is mounted, handlers
 * of its own, and the place up to which they were served.
 */
export class Lease<Events> {
  /** They do nothing while no connection is held. */
  readonly actions: Actions = {
    reconnect: () => this.#connection?.client.reconnect(),
    disconnect: () => this.#connection?.client.disconnect(),
    forceSSE: () => this.#connection?.client.forceSSE(),
    forcePolling: () => this.#connection?.client.forcePolling(),
  };
  #key: string | null = null;
  #options: SharedOptions<AnyEvents> = {};
  #connection: SharedConnection | null = null;
  #left: { readonly key: string; readonly cursor: string | null } | null = null;

  /** Takes the options of the newest render, and the name of the connection that they select. */
  update(key: string | null, options: SharedOptions<Events>): void {
    this.#key = key;
    this.#options = options as SharedOptions<AnyEvents>;
    if (this.#connection?.key === key) this.#connection.options = this.#options;
  }

  /** How the connection of that name stands; the same object until something changes. */
  snapshot(key: string | null): Snapshot<Events> {
    if (key === null || this.#connection?.key !== key) return snapshotBefore(key);
    return this.#connection.snapshot as unknown as Snapshot<Events>;
  }

  /**
   * Holds the connection of that name.
   *
   * @param show is called when there is a new snapshot.
   * @returns lets go of it.
   */
  hold(key: string, show: () => void): () => void {
    const connection = SharedConnection.find(key, this.#options, this.#position(key));
    connection.options = this.#options;
    this.#connection = connection;
    const ends = this.#listen(connection);
    const release = connection.hold({ show, fail: (error) => this.#fail(error) });
    return () => {
      for (const end of ends) end();
      this.#connection = null;
      this.#left = { key, cursor: connection.client.cursor };
      release();
    };
  }

  /** Where handlers go on: a component that is hidden and shown again keeps what it has seen. */
  #position(key: string): string | undefined {
    const { since } = this.#options;
    // Nothing that was before it was asked for.
    if (since === undefined || since === "latest") return undefined;
    return (this.#left?.key === key ? this.#left.cursor : null) ?? since;
  }

  #listen(connection: SharedConnection): (() => void)[] {
    const { client } = connection;
    // After a render for another connection the handlers are that one's.
    const ours = () => this.#connection === connection && this.#key === connection.key;
    const call = (type: string, event: unknown) => {
      const { eventHandlers = {} } = this.#options;
      if (!ours()) return undefined;
      if (!Object.hasOwn(eventHandlers, type)) return undefined;
      return (eventHandlers[type] as ((event: unknown) => unknown) | undefined)?.(event);
    };
    // One by one: then the client keeps what one of them throws from the others.
    return [
      client.on("*", (event: Envelope) => event.type === "*" || call(event.type, event)),
      client.on("*", (event: Envelope) => call("*", event)),
      ...Object.keys(CONTROLS).map((type) =>
        client.on(type, (event: unknown) => call(type, event)),
      ),
      client.on("gap", ({ data }) => (ours() ? this.#options.onGap?.(data) : undefined)),
    ];
  }

  #fail(error: TidewireError): void {
    const complain = (thrown: unknown) => console.error("[tidewire] A handler failed:", thrown);
    try {
      const result: unknown = this.#options.onError?.(error);
      if (result instanceof Promise) result.catch(complain);
    } catch (thrown) {
      complain(thrown);
    }
  }
}

/** How it looks before anything is open; also where pages are rendered. */
export function snapshotBefore(key: string | null): typeof IDLE {
  return key === null ? IDLE : AWAITED;
}
