/** The slice, with the real server: with zustand 5 and React 19, and with 4 and 18. */
import { StrictMode, useEffect } from "react";
import { renderToString } from "react-dom/server";
import { expect, expectTypeOf, test } from "vitest";
import { create, type StateCreator } from "zustand";
import { devtools, persist, subscribeWithSelector } from "zustand/middleware";
import { createStore } from "zustand/vanilla";
import { getSSEToken, type KnownEvents } from "../src/index.js";
import {
  createHybridRealtimeSlice,
  type HybridRealtimeOptions,
  type HybridRealtimeSlice,
  useHybridRealtimeSlice,
} from "../src/zustand.js";
import { eventually, range, Stage } from "./react.stage.js";

interface Events extends KnownEvents {
  counted: { n: number };
}
interface Cart {
  items: number;
  add: () => void;
}
type Shop = Cart & HybridRealtimeSlice<Events>;

const stage = Stage.forFile();

const createCart: StateCreator<Shop, [], [], Cart> = (set) => ({
  items: 0,
  add: () => set(({ items }) => ({ items: items + 1 })),
});

function shop(options: HybridRealtimeOptions<Events> = {}) {
  const given = stage.options(options);
  return create<Shop>()((...a) => ({
    ...createCart(...a),
    ...createHybridRealtimeSlice<Events>(given)(...a),
  }));
}

/** A store that is connected, and the numbers that one of its handlers was given. */
async function connectedShop() {
  const store = shop();
  const seen: number[] = [];
  store.getState().addEventHandler("counted", ({ data }) => seen.push(data.n));
  store.getState().connect();
  await eventually(() => expect(store.getState().isConnected).toBe(true));
  return { store, seen };
}

/** Connects as a component does, and writes down what it shows. */
function View({ store, shown }: { store: ReturnType<typeof shop>; shown: string[] }) {
  const { connect, disconnect, connectionStatus, lastEvent } = useHybridRealtimeSlice(store);
  useEffect(() => {
    connect();
    return disconnect;
  }, [connect, disconnect]);
  const n = lastEvent?.type === "counted" ? lastEvent.data.n : "nothing";
  shown.push(`${connectionStatus}, ${n}`);
  return <p>{connectionStatus}</p>;
}

test("a store that is made with it opens nothing, and is written down as it is", () => {
  const store = shop();
  expect(stage.ledger.requests).toEqual([]);
  expect(stage.ledger.open).toEqual([]);
  const state = JSON.parse(JSON.stringify(store.getState()));
  expect(state).toMatchObject({
    items: 0,
    isConnected: false,
    connectionStatus: "disconnected",
    activeMethod: null,
    lastEvent: null,
    error: null,
    sseFailureCount: 0,
    pollingFailureCount: 0,
  });
});

test("it connects, hands over, and leaves nothing after disconnect; what came meanwhile is not missing", async () => {
  const { store, seen } = await connectedShop();
  await stage.publish(1);
  await eventually(() => expect(store.getState().lastEvent?.data).toEqual({ n: 1 }));
  store.getState().disconnect();
  await stage.gone();
  expect(store.getState()).toMatchObject({ isConnected: false, connectionStatus: "disconnected" });
  await stage.publish(2);
  store.getState().reconnect();
  await eventually(() => expect(seen).toEqual([1, 2]));
  store.getState().forcePolling();
  await eventually(() => expect(store.getState().activeMethod).toBe("polling"));
  store.getState().forceSSE();
  await eventually(() => {
    expect(store.getState()).toMatchObject({ isConnected: true, activeMethod: "sse" });
  });
  store.getState().disconnect();
  await stage.gone();
});

test("a handler is removed by its name, and by what adding it returned", async () => {
  const store = shop();
  const seen: string[] = [];
  const { addEventHandler, removeEventHandler, connect, disconnect } = store.getState();
  const first = () => seen.push("first");
  addEventHandler("counted", first);
  const end = addEventHandler("counted", () => seen.push("second"));
  addEventHandler("*", ({ type }) => seen.push(type));
  connect();
  await eventually(() => expect(store.getState().isConnected).toBe(true));
  await stage.publish(1);
  await eventually(() => expect(seen).toEqual(["first", "second", "counted"]));
  removeEventHandler("counted", first);
  end();
  await stage.publish(2);
  await eventually(() => expect(seen).toEqual(["first", "second", "counted", "counted"]));
  disconnect();
  await stage.gone();
});

test("the store is set at most once a frame while a thousand events come in a second, and handlers get all of them in order", async () => {
  const { store, seen } = await connectedShop();
  let sets = 0;
  store.subscribe(() => {
    sets += 1;
  });
  const allowed = await stage.flood();
  await eventually(() => expect(seen).toEqual(range(0, 1000)));
  await eventually(() => expect(store.getState().lastEvent?.data).toEqual({ n: 999 }));
  expect(sets).toBeGreaterThan(5);
  expect(sets).toBeLessThanOrEqual(allowed());
  store.getState().disconnect();
  await stage.gone();
});

test("an effect that StrictMode runs twice opens one connection", async () => {
  const store = shop();
  const shown: string[] = [];
  const root = stage.mount(
    <StrictMode>
      <View store={store} shown={shown} />
    </StrictMode>,
  );
  await eventually(() => expect(shown.at(-1)).toBe("connected, nothing"));
  expect(stage.ledger.requests).toHaveLength(1);
  expect(await stage.server.connections()).toBe(1);
  root.unmount();
  await stage.gone();
});

test("a component renders for its slice, and not for others", async () => {
  const store = shop();
  const shown: string[] = [];
  const root = stage.mount(<View store={store} shown={shown} />);
  await eventually(() => expect(shown.at(-1)).toBe("connected, nothing"));
  await stage.publish(1);
  await eventually(() => expect(shown.at(-1)).toBe("connected, 1"));
  const renders = shown.length;
  store.getState().add();
  await stage.publish(2);
  await eventually(() => expect(shown.at(-1)).toBe("connected, 2"));
  expect(store.getState().items).toBe(1);
  expect(shown.length).toBe(renders + 1);
  root.unmount();
  await stage.gone();
});

test("on a server it renders as it is before it connects", () => {
  expect(renderToString(<View store={shop()} shown={[]} />)).toBe("<p>disconnected</p>");
  expect(stage.ledger.requests).toEqual([]);
});

test("why it stopped is plain data, also when it was thrown", async () => {
  const endpoint = `${stage.server.url}/api/sse`;
  const store = shop({ getToken: () => getSSEToken({ endpoint }), autoReconnect: false });
  store.getState().connect();
  await eventually(() => expect(store.getState().connectionStatus).toBe("stopped"));
  const { error } = store.getState();
  expect(error).toMatchObject({ category: "authentication", status: 401 });
  expect(Object.getPrototypeOf(error)).toBe(Object.prototype);
  await stage.gone();
});

test("it is a slice under the usual middleware, and in a vanilla store", () => {
  const slice = createHybridRealtimeSlice<Events>();
  const store = create<Shop>()(
    devtools(
      subscribeWithSelector(
        persist((...a) => ({ ...createCart(...a), ...slice(...a) }), {
          name: "shop",
          partialize: ({ items }) => ({ items }),
        }),
      ),
    ),
  );
  store.getState().add();
  expect(localStorage.getItem("shop")).toContain('{"items":1}');
  const vanilla = createStore<HybridRealtimeSlice>()(createHybridRealtimeSlice());
  expect(vanilla.getState().isConnected).toBe(false);
  const bound = create(createHybridRealtimeSlice());
  expectTypeOf(bound.getState()).toEqualTypeOf<HybridRealtimeSlice>();
  // Only compiled.
  const view = () => {
    const all = useHybridRealtimeSlice(store);
    expectTypeOf(all).toExtend<HybridRealtimeSlice<Events>>();
    // @ts-expect-error of another slice
    all.items;
    expectTypeOf(useHybridRealtimeSlice(store, (s) => s.isConnected)).toEqualTypeOf<boolean>();
    all.addEventHandler("counted", ({ data }) => expectTypeOf(data.n).toEqualTypeOf<number>());
    // @ts-expect-error no such event
    all.addEventHandler("missing", () => {});
  };
  expectTypeOf(view).toBeFunction();
});
