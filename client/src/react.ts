"use client";

import {
  useCallback,
  useEffect,
  useInsertionEffect,
  useMemo,
  useRef,
  useState,
  useSyncExternalStore,
} from "react";
import { type Actions, Lease, snapshotBefore } from "./lease.js";
import { connectionKeyOf, type SharedOptions } from "./shared.js";
import type { Snapshot } from "./snapshot.js";
import type { KnownEvents } from "./types.js";

export type { Actions } from "./lease.js";
export type { Snapshot } from "./snapshot.js";

/** What `useHybridRealtime` takes. */
export type UseHybridRealtimeOptions<Events = KnownEvents> = SharedOptions<Events>;

/** How the connection stands, what came last, and what may be done to it. */
export interface HybridRealtime<Events = KnownEvents> extends Snapshot<Events>, Actions {}

/**
 * Events as they happen, in a component. Components with equal options share one connection; it is
 * opened when the first is mounted, and closed after the last.
 *
 * Handlers get every event, at once and in order, and are those of the newest render. The component
 * is rendered once a frame at most; with a `selector`, only when what that returns has changed.
 *
 * @param selector of what the component shows.
 * @param isEqual whether two selections look the same. Default: `Object.is`.
 */
export function useHybridRealtime<Events = KnownEvents>(
  options?: UseHybridRealtimeOptions<Events>,
): HybridRealtime<Events>;
export function useHybridRealtime<Events = KnownEvents, Selection = HybridRealtime<Events>>(
  options: UseHybridRealtimeOptions<Events> | undefined,
  selector: (realtime: HybridRealtime<Events>) => Selection,
  isEqual?: (a: Selection, b: Selection) => boolean,
): Selection;
export function useHybridRealtime<Events>(
  options: UseHybridRealtimeOptions<Events> = {},
  selector: (realtime: HybridRealtime<Events>) => unknown = everything,
  isEqual: (a: unknown, b: unknown) => boolean = Object.is,
): unknown {
  const [lease] = useState(() => new Lease<Events>());
  const key = connectionKeyOf(options);
  // Before the effects of components, which may ask for what comes.
  useInsertionEffect(() => lease.update(key, options));

  const subscribe = useCallback(
    (listener: () => void) => (key === null ? nothing : lease.hold(key, listener)),
    [lease, key],
  );
  const shown = useRef<{ readonly selection: unknown } | null>(null);
  const [select, selectBefore] = useMemo(() => {
    let last: { readonly snapshot: Snapshot<Events>; readonly selection: unknown } | null = null;
    const select = (snapshot: Snapshot<Events>) => {
      if (last?.snapshot === snapshot) return last.selection;
      const selection = selector({ ...snapshot, ...lease.actions });
      const previous = last ?? shown.current;
      const same = previous !== null && isEqual(previous.selection, selection);
      last = { snapshot, selection: same ? previous.selection : selection };
      return last.selection;
    };
    return [() => select(lease.snapshot(key)), () => select(snapshotBefore(key))];
  }, [lease, key, selector, isEqual]);
  const selection = useSyncExternalStore(subscribe, select, selectBefore);
  useEffect(() => {
    shown.current = { selection };
  });
  return selection;
}

function everything<Everything>(realtime: Everything): Everything {
  return realtime;
}

function nothing(): void {}
