/** The hook and the slice where pages are rendered: there is no page. */
import { createElement } from "react";
import { renderToString } from "react-dom/server";
import { expect, test, vi } from "vitest";
import { create } from "zustand";
import { useHybridRealtime } from "../src/react.js";
import { createHybridRealtimeSlice, useHybridRealtimeSlice } from "../src/zustand.js";

/** Watched from before anything is imported. */
const effects = vi.hoisted(() => [
  vi.spyOn(globalThis, "fetch"),
  vi.spyOn(globalThis, "queueMicrotask"),
  // Some servers let a module make no random names while it is loaded.
  vi.spyOn(crypto, "getRandomValues"),
  vi.spyOn(console, "error"),
]);

const useStore = create(createHybridRealtimeSlice());

function View({ enabled }: { enabled: boolean }) {
  const { connectionStatus, lastEvent } = useHybridRealtime({
    enabled,
    enableTokenAuth: true,
    eventHandlers: { "*": () => {} },
  });
  const slice = useHybridRealtimeSlice(useStore);
  return createElement("p", null, `${connectionStatus} ${lastEvent} ${slice.connectionStatus}`);
}

test("importing and rendering them does nothing, and shows the same each time", () => {
  const timers = vi.spyOn(globalThis, "setTimeout");
  const render = (enabled: boolean) => renderToString(createElement(View, { enabled }));
  expect(typeof document).toBe("undefined");
  for (const _ of [1, 2]) {
    expect(render(true)).toBe("<p>connecting null disconnected</p>");
    expect(render(false)).toBe("<p>disconnected null disconnected</p>");
  }
  for (const effect of [...effects, timers]) expect(effect).not.toHaveBeenCalled();
});
