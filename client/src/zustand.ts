import { type StateCreator, type StoreApi, useStore } from "zustand";
import { useShallow } from "zustand/react/shallow";
import { SSEClient } from "./client.js";
import { clientOptionsOf, type HybridRealtimeOptions } from "./options.js";
import { followSnapshots, IDLE, type Snapshot } from "./snapshot.js";
import type { Handlers, KnownEvents } from "./types.js";

export type { HybridRealtimeOptions } from "./options.js";
export type { Snapshot } from "./snapshot.js";

/** A connection as a part of a store: data, and functions that never change. */
export interface HybridRealtimeSlice<Events = KnownEvents> extends Snapshot<Events> {
  /** Connects, if it is not connected. It and `disconnect` count at the end of the current task,
   *  the last of them: effects that are run twice make one connection. */
  readonly connect: () => void;
  /** Ends the connection. Nothing is left open; the cursor stays, for the next `connect`. */
  readonly disconnect: () => void;
  /** Connects anew, by a stream, as if nothing had failed. */
  readonly reconnect: () => void;
  /** Tries a stream now. If it fails, polling takes over as ever. */
  readonly forceSSE: () => void;
  /** Polls, and tries no streams, until `forceSSE` or `reconnect`. */
  readonly forcePolling: () => void;
  /** Adds a handler, which gets every event at once and in order. Returns what removes it. */
  readonly addEventHandler: <Type extends keyof Handlers<Events> & string>(
    type: Type,
    handler: NonNullable<Handlers<Events>[Type]>,
  ) => () => void;
  /** Removes a handler. */
  readonly removeEventHandler: <Type extends keyof Handlers<Events> & string>(
    type: Type,
    handler: NonNullable<Handlers<Events>[Type]>,
  ) => void;
}

/**
 * A slice for a store of your own. It is set once a frame at most. Making it opens nothing:
 * `connect` does.
 *
 * @example
 * const useShop = create<Cart & HybridRealtimeSlice>()((...a) => ({
 *   ...createCart(...a),
 *   ...createHybridRealtimeSlice({ endpoint: "/api/sse" })(...a),
 * }));
 */
export function createHybridRealtimeSlice<Events = KnownEvents>(
  options: HybridRealtimeOptions<Events> = {},
): StateCreator<HybridRealtimeSlice<Events>, [], [], HybridRealtimeSlice<Events>> {
  return (set) => {
    let made: SSEClient<Events> | null = null;
    // Not before it is used: some servers let a module make no random names while it is loaded.
    const client = () => {
      if (made === null) {
        made = new SSEClient(clientOptionsOf(options));
        followSnapshots(made, (snapshot) => set(snapshot));
      }
      return made;
    };
    let wanted: "connect" | "disconnect" | null = null;
    const want = (what: "connect" | "disconnect") => {
      if (wanted === null) queueMicrotask(settle);
      wanted = what;
    };
    const settle = () => {
      const what = wanted;
      wanted = null;
      if (what !== null) client()[what]();
    };
    const now = (what: "reconnect" | "forceSSE" | "forcePolling") => () => {
      wanted = null;
      client()[what]();
    };
    return {
      ...IDLE,
      connect: () => want("connect"),
      disconnect: () => want("disconnect"),
      reconnect: now("reconnect"),
      forceSSE: now("forceSSE"),
      forcePolling: now("forcePolling"),
      addEventHandler: (type, handler) => client().on(type, handler),
      removeEventHandler: (type, handler) => client().off(type, handler),
    };
  };
}

/** What of a store's state is the slice. */
type SliceOf<State> = Pick<State, keyof HybridRealtimeSlice & keyof State>;

/** Any slice, whatever its events. */
type AnySlice = Omit<HybridRealtimeSlice, "lastEvent" | "addEventHandler" | "removeEventHandler">;

/** As much of a store as is read: a bound hook as `create` makes it, or a vanilla store. */
export type HybridRealtimeStore<State> = Pick<
  StoreApi<State>,
  "getState" | "getInitialState" | "subscribe"
>;

/**
 * The slice of a store, in a component. Other slices do not make it render; with a `selector`, only
 * what that returns does, and objects and arrays are compared by what is in them.
 *
 * It only looks: what connects is `connect`.
 */
export function useHybridRealtimeSlice<State extends AnySlice>(
  store: HybridRealtimeStore<State>,
): SliceOf<State>;
export function useHybridRealtimeSlice<State extends AnySlice, Selection>(
  store: HybridRealtimeStore<State>,
  selector: (slice: SliceOf<State>) => Selection,
): Selection;
export function useHybridRealtimeSlice<State extends AnySlice>(
  store: HybridRealtimeStore<State>,
  selector: (slice: SliceOf<State>) => unknown = sliceOf,
): unknown {
  return useStore(store, useShallow(selector));
}

const ACTIONS = [
  "connect",
  "disconnect",
  "reconnect",
  "forceSSE",
  "forcePolling",
  "addEventHandler",
  "removeEventHandler",
] as const;

/** The slice alone, out of all that a store holds. */
function sliceOf<State>(state: State): SliceOf<State> {
  const names = [...Object.keys(IDLE), ...ACTIONS] as (keyof SliceOf<State>)[];
  return Object.fromEntries(names.map((name) => [name, state[name]])) as SliceOf<State>;
}
