/** The hook, with the real server: in React 19, and in 18. */
import * as React from "react";
import { StrictMode, useState } from "react";
import { flushSync } from "react-dom";
import { hydrateRoot } from "react-dom/client";
import { renderToString } from "react-dom/server";
import { describe, expect, expectTypeOf, test, vi } from "vitest";
import type { Envelope, KnownEvents } from "../src/index.js";
import { Lease } from "../src/lease.js";
import {
  type HybridRealtime,
  type UseHybridRealtimeOptions,
  useHybridRealtime,
} from "../src/react.js";
import { connectionKeyOf } from "../src/shared.js";
import { eventually, range, Stage } from "./react.stage.js";

interface Events extends KnownEvents {
  counted: { n: number };
}
type Options = UseHybridRealtimeOptions<Events>;

const stage = Stage.forFile();
const options = (rest: Options = {}): Options => stage.options(rest);

/** What a component saw of the connection, render by render. */
class Witness {
  readonly renders: HybridRealtime<Events>[] = [];
  readonly seen: number[] = [];

  readonly View = ({ given = {} }: { given?: Options }) => {
    const eventHandlers = {
      counted: ({ data }: Envelope<"counted", { n: number }>) => this.seen.push(data.n),
    };
    const realtime = useHybridRealtime<Events>(options({ eventHandlers, ...given }));
    this.renders.push(realtime);
    return <p>{realtime.connectionStatus}</p>;
  };

  get last(): HybridRealtime<Events> {
    return this.renders.at(-1) as HybridRealtime<Events>;
  }

  connected(): Promise<void> {
    return eventually(() => {
      expect(this.renders.length).toBeGreaterThan(0);
      expect(this.last.isConnected).toBe(true);
    });
  }

  sees(numbers: number[]): Promise<void> {
    return eventually(() => expect(this.seen).toEqual(numbers));
  }
}

/** Renders only when it is another status. */
function Status({ shown }: { shown: unknown[] }) {
  shown.push(useHybridRealtime(options(), (realtime) => realtime.isConnected));
  return null;
}

/** Selects what is another object each time, and looks the same. */
function Parity({ shown }: { shown: unknown[] }) {
  const { even } = useHybridRealtime(
    options(),
    ({ lastEvent }) => ({ even: lastEvent?.type === "counted" && lastEvent.data.n === 2 }),
    (a, b) => a.even === b.even,
  );
  shown.push(even ? "even" : "odd");
  return null;
}

/** Has handlers that know of the render that they are from. */
function Counter({ seen }: { seen: string[] }) {
  const [count, setCount] = useState(0);
  const { isConnected } = useHybridRealtime<Events>(
    options({
      eventHandlers: {
        counted: ({ data }) => {
          seen.push(`${data.n} at ${count}`);
          setCount(count + 1);
        },
        // One that is not there from the beginning.
        ...(count > 1 && { "*": ({ type }: Envelope) => seen.push(type) }),
      },
    }),
  );
  return <p>{isConnected ? count : "…"}</p>;
}

describe("one connection", () => {
  test("is opened by a component that StrictMode mounts twice", async () => {
    const { View, ...witness } = new Witness();
    stage.mount(
      <StrictMode>
        <View />
      </StrictMode>,
    );
    await eventually(() => expect(document.body.textContent).toBe("connected"));
    expect(witness.renders.at(-1)?.activeMethod).toBe("sse");
    expect(stage.ledger.requests).toHaveLength(1);
    expect(await stage.server.connections()).toBe(1);
  });

  test("is shared by components that know nothing of each other", async () => {
    const [first, second] = [new Witness(), new Witness()];
    stage.mount(<first.View given={{ types: ["counted", "other"], params: { a: "1", b: "2" } }} />);
    await first.connected();
    // The same, written in another order.
    stage.mount(
      <second.View given={{ params: { b: "2", a: "1" }, types: ["other", "counted"] }} />,
    );
    await second.connected();
    await stage.publish(1);
    await first.sees([1]);
    await second.sees([1]);
    expect(second.last.clientId).toBe(first.last.clientId);
    expect(stage.ledger.requests).toHaveLength(1);
    expect(await stage.server.connections()).toBe(1);
  });

  test("outlives a component that is replaced", async () => {
    const witness = new Witness();
    const root = stage.mount(<witness.View key="a" />);
    await witness.connected();
    root.render(<witness.View key="b" />);
    await stage.publish(1);
    await witness.sees([1]);
    root.unmount();
    flushSync(() => stage.mount(<witness.View />));
    await stage.publish(2);
    await witness.sees([1, 2]);
    expect(stage.ledger.requests).toHaveLength(1);
  });

  test("is kept from whoever asks for another: of a user, by another name, or from a cursor", async () => {
    const cursor = await stage.server.cursor();
    const givens: Options[] = [
      {},
      { userId: `${stage.user}b` },
      { connectionKey: "b" },
      { since: cursor },
    ];
    const witnesses = givens.map((given) => {
      const witness = new Witness();
      stage.mount(<witness.View given={given} />);
      return witness;
    });
    for (const witness of witnesses) await witness.connected();
    expect(new Set(witnesses.map(({ last }) => last.clientId)).size).toBe(givens.length);
    expect(await stage.server.connections()).toBe(givens.length);
  });

  test("is left with no request, timer or listener when the last component is unmounted", async () => {
    const [first, second] = [new Witness(), new Witness()];
    const root = stage.mount(<first.View />);
    stage.mount(<second.View />);
    await first.connected();
    expect(stage.ledger.open).not.toEqual([]);
    root.unmount();
    await stage.publish(1);
    await second.sees([1]);
    expect(await stage.server.connections()).toBe(1);
    stage.roots.pop()?.unmount();
    await stage.gone();
    expect(first.seen).toEqual([]);
  });

  test("gives way to the other when options change, and nothing of it is shown or handed over any more", async () => {
    const witness = new Witness();
    const root = stage.mount(<witness.View />);
    await witness.connected();
    await stage.publish(1);
    await eventually(() => expect(witness.last.lastEvent?.data).toEqual({ n: 1 }));
    const { clientId } = witness.last;
    const before = witness.renders.length;
    root.render(<witness.View given={{ userId: `${stage.user}b` }} />);
    await eventually(() => expect(witness.last.clientId).not.toBe(clientId));
    await witness.connected();
    expect(witness.renders[before]).toMatchObject({
      connectionStatus: "connecting",
      lastEvent: null,
      clientId: null,
    });
    await eventually(async () => expect(await stage.server.connections()).toBe(1));
    await stage.publish(2);
    await stage.server.publish([3], { metadata: { userIds: [`${stage.user}b`] } });
    await witness.sees([1, 3]);
  });

  test("is not opened where it is not enabled, and is when it is", async () => {
    const witness = new Witness();
    const root = stage.mount(<witness.View given={{ enabled: false }} />);
    await eventually(() => expect(witness.last?.connectionStatus).toBe("disconnected"));
    witness.last.reconnect();
    expect(stage.ledger.requests).toEqual([]);
    root.render(<witness.View given={{ enabled: true }} />);
    await witness.connected();
    root.render(<witness.View given={{ enabled: false }} />);
    await eventually(() => expect(witness.last.connectionStatus).toBe("disconnected"));
    await stage.gone();
  });
});

describe("what is shown", () => {
  test("is committed at most once a frame while a thousand events come in a second, and handlers get all of them in order", async () => {
    const witness = new Witness();
    let commits = 0;
    stage.mount(
      <React.Profiler id="view" onRender={() => (commits += 1)}>
        <witness.View />
      </React.Profiler>,
    );
    await witness.connected();
    commits = 0;
    const allowed = await stage.flood();
    await witness.sees(range(0, 1000));
    await eventually(() => expect(witness.last.lastEvent?.data).toEqual({ n: 999 }));
    expect(commits).toBeGreaterThan(5);
    expect(commits).toBeLessThanOrEqual(allowed());
  });

  test("goes on without frames, as in a hidden page", async () => {
    vi.spyOn(globalThis, "requestAnimationFrame").mockImplementation(() => 0);
    const witness = new Witness();
    stage.mount(<witness.View />);
    await witness.connected();
    await stage.publish(1);
    await eventually(() => expect(witness.last.lastEvent?.data).toEqual({ n: 1 }));
  });

  test("is rendered only when a selection changes", async () => {
    const witness = new Witness();
    const shown: unknown[] = [];
    stage.mount([
      <Status key="status" shown={shown} />,
      <Parity key="parity" shown={shown} />,
      <witness.View key="view" />,
    ]);
    await witness.connected();
    await eventually(() => expect(shown).toEqual([false, "odd", true]));
    for (const n of [1, 3, 2, 4]) {
      await stage.publish(n);
      await eventually(() => expect(witness.last.lastEvent?.data).toEqual({ n }));
    }
    expect(shown).toEqual([false, "odd", true, "even", "odd"]);
  });

  test("has functions that are never other ones, and the same result until something changes", async () => {
    const witness = new Witness();
    const root = stage.mount(<witness.View />);
    await witness.connected();
    const { last } = witness;
    const count = witness.renders.length;
    root.render(<witness.View given={{}} />);
    await eventually(() => expect(witness.renders.length).toBeGreaterThan(count));
    expect(witness.last).toBe(last);
    expect(witness.renders[0]?.reconnect).toBe(last.reconnect);
  });
});

describe("handlers", () => {
  test("are those of the newest render, and a new one opens nothing", async () => {
    const seen: string[] = [];
    stage.mount(<Counter seen={seen} />);
    for (const n of [0, 1, 2]) {
      await eventually(() => expect(document.body.textContent).toBe(String(n)));
      await stage.publish(n);
    }
    await eventually(() => expect(seen).toEqual(["0 at 0", "1 at 1", "2 at 2", "counted"]));
    expect(stage.ledger.requests).toHaveLength(1);
  });

  test("that throw disturb neither those of the same component nor those of others", async () => {
    const complaints = vi.spyOn(console, "error").mockImplementation(() => {});
    const [first, second] = [new Witness(), new Witness()];
    const every: string[] = [];
    const eventHandlers: Options["eventHandlers"] = {
      counted: () => {
        throw new Error("of the handler");
      },
      "*": ({ type }) => every.push(type),
    };
    stage.mount([<first.View key="a" given={{ eventHandlers }} />, <second.View key="b" />]);
    await second.connected();
    await stage.publish(1, 2);
    await second.sees([1, 2]);
    expect(every).toEqual(["counted", "counted"]);
    expect(complaints).toHaveBeenCalledTimes(2);
  });

  test("are told what streams say, what was missed and what failed", async () => {
    const told: string[] = [];
    const witness = new Witness();
    const given: Options = {
      since: "1-1-none",
      eventHandlers: {
        connected: ({ data }) => told.push(`connected ${data.resumed}`),
        gap: ({ data }) => told.push(`gap ${data.reason}`),
        disconnected: ({ data }) => told.push(`disconnected ${data.willReconnect}`),
      },
      onGap: ({ reason }) => told.push(`onGap ${reason}`),
      onError: ({ code }) => told.push(`onError ${code}`),
    };
    const root = stage.mount(<witness.View given={given} />);
    await eventually(() => expect(told).toEqual(["connected false", "gap epoch", "onGap epoch"]));
    root.render(<witness.View given={{ ...given, token: "nonsense" }} />);
    await eventually(() => expect(told.at(-1)).toMatch(/^onError AUTH/));
    await eventually(() => expect(witness.last.error?.status).toBe(401));
    expect(witness.last.connectionStatus).toBe("stopped");
  });

  test("for another connection get nothing of the one that is still held", async () => {
    const lease = new Lease<Events>();
    const seen: string[] = [];
    const watched: Options = options({ eventHandlers: { "*": () => seen.push("old") } });
    const key = connectionKeyOf(watched) as string;
    lease.update(key, watched);
    const show = vi.fn();
    const release = lease.hold(key, show);
    await eventually(() => expect(lease.snapshot(key).isConnected).toBe(true));
    await stage.publish(1);
    await eventually(() => expect(seen).toEqual(["old"]));
    const next = options({
      userId: `${stage.user}b`,
      eventHandlers: { "*": () => seen.push("new") },
    });
    lease.update(connectionKeyOf(next), next);
    await stage.publish(2);
    await eventually(() => expect(lease.snapshot(key).lastEvent?.data).toEqual({ n: 2 }));
    release();
    expect(seen).toEqual(["old"]);
  });

  test("are not taken for what every object has", async () => {
    const witness = new Witness();
    const complaints = vi.spyOn(console, "error").mockImplementation(() => {});
    stage.mount(<witness.View given={{ eventHandlers: {} }} />);
    await witness.connected();
    await stage.server.publish([1], {
      type: "__defineGetter__",
      metadata: { userIds: [stage.user] },
    });
    await eventually(() => expect(witness.last.lastEvent?.type).toBe("__defineGetter__"));
    expect(complaints).not.toHaveBeenCalled();
  });
});

describe("a cursor", () => {
  test("of a rendered page makes its state and the stream meet, without a complaint of hydration", async () => {
    const complaints = vi.spyOn(console, "error");
    const since = await stage.server.cursor();
    const witness = new Witness();
    const page = <witness.View given={{ since }} />;
    const html = renderToString(page);
    expect(html).toBe("<p>connecting</p>");
    expect(renderToString(page)).toBe(html);
    expect(stage.ledger.requests).toEqual([]);
    expect(stage.ledger.open).toEqual([]);

    await stage.publish(1);
    const place = document.createElement("main");
    place.innerHTML = html;
    document.body.append(place);
    const recoverable = vi.fn();
    stage.roots.push(hydrateRoot(place, page, { onRecoverableError: recoverable }));
    await witness.connected();
    await stage.publish(2);
    await witness.sees([1, 2]);
    expect(recoverable).not.toHaveBeenCalled();
    expect(complaints).not.toHaveBeenCalled();
  });

  test("gives a component that is mounted late what it missed, though others are further", async () => {
    const since = await stage.server.cursor();
    const [early, late] = [new Witness(), new Witness()];
    stage.mount(<early.View given={{ since }} />);
    await stage.publish(1, 2);
    await early.sees([1, 2]);
    stage.mount(<late.View given={{ since }} />);
    await late.sees([1, 2]);
    await stage.publish(3);
    await early.sees([1, 2, 3]);
    await late.sees([1, 2, 3]);
  });

  test.runIf("Activity" in React)(
    "of a component that was hidden is where it goes on",
    async () => {
      const { Activity } = React;
      const since = await stage.server.cursor();
      const witness = new Witness();
      const page = (mode: "visible" | "hidden") => (
        <Activity mode={mode}>
          <witness.View given={{ since }} />
        </Activity>
      );
      const root = stage.mount(page("visible"));
      await stage.publish(1);
      await witness.sees([1]);
      root.render(page("hidden"));
      await stage.gone();
      await stage.publish(2);
      root.render(page("visible"));
      await witness.sees([1, 2]);
    },
  );
});

describe("what may be done", () => {
  test("disconnect ends it for all, until one asks for it again; then nothing is missing", async () => {
    const [first, second, third] = [new Witness(), new Witness(), new Witness()];
    stage.mount(<first.View />);
    stage.mount(<second.View />);
    await second.connected();
    first.last.disconnect();
    await eventually(() => expect(second.last.connectionStatus).toBe("disconnected"));
    await stage.gone();
    stage.mount(<third.View />);
    await eventually(() => expect(third.last?.connectionStatus).toBe("disconnected"));
    expect(stage.ledger.requests).toHaveLength(1);
    await stage.publish(1);
    second.last.reconnect();
    await third.connected();
    for (const { seen } of [first, second, third])
      await eventually(() => expect(seen).toEqual([1]));
    expect(await stage.server.connections()).toBe(1);
  });

  test("forcePolling and forceSSE choose the way", async () => {
    const witness = new Witness();
    stage.mount(<witness.View />);
    await witness.connected();
    witness.last.forcePolling();
    await eventually(() =>
      expect(witness.last).toMatchObject({ isConnected: true, activeMethod: "polling" }),
    );
    witness.last.forceSSE();
    await eventually(() =>
      expect(witness.last).toMatchObject({ isConnected: true, activeMethod: "sse" }),
    );
  });
});

describe("tokens", () => {
  test("are got by the getToken of the newest render", async () => {
    const witness = new Witness();
    const anonymous = (getToken: () => string): Options => ({ userId: "", getToken });
    const root = stage.mount(
      <witness.View given={anonymous(() => stage.server.token(stage.user, 60))} />,
    );
    await witness.connected();
    const newer = vi.fn(() => stage.server.token(stage.user, 60));
    const before = witness.renders.length;
    root.render(<witness.View given={anonymous(newer)} />);
    await eventually(() => expect(witness.renders.length).toBeGreaterThan(before));
    expect(newer).not.toHaveBeenCalled();
    witness.last.disconnect();
    witness.last.reconnect();
    await eventually(() => expect(newer).toHaveBeenCalledTimes(1));
    await witness.connected();
  });

  test("are got from the server with enableTokenAuth", async () => {
    const witness = new Witness();
    const asked: string[] = [];
    const headers: (string | null)[] = [];
    const spying: typeof fetch = (url, init) => {
      const { pathname } = new URL(String(url));
      asked.push(pathname);
      headers.push(new Headers(init?.headers).get("Authorization"));
      return fetch(url, init);
    };
    stage.mount(<witness.View given={{ enableTokenAuth: true, fetch: spying }} />);
    await witness.connected();
    expect(asked).toEqual(["/api/auth/sse-token", "/api/sse"]);
    expect(headers[1]).toMatch(/^Bearer /);
  });
});

test("events and selections are typed", () => {
  // Only compiled.
  const view = () => {
    const realtime = useHybridRealtime<Events>({
      eventHandlers: {
        counted: ({ data }) => expectTypeOf(data.n).toEqualTypeOf<number>(),
        notification: ({ data }) => expectTypeOf(data.title).toEqualTypeOf<string>(),
        // @ts-expect-error no such event
        missing: () => {},
      },
    });
    if (realtime.lastEvent?.type === "counted") {
      expectTypeOf(realtime.lastEvent.data.n).toEqualTypeOf<number>();
    }
    const given: UseHybridRealtimeOptions<Events> = {};
    const selected = useHybridRealtime(given, ({ lastEvent, sseFailureCount }) => ({
      lastEvent,
      sseFailureCount,
    }));
    expectTypeOf(selected.sseFailureCount).toEqualTypeOf<number>();
    expectTypeOf(selected.lastEvent).toEqualTypeOf<HybridRealtime<Events>["lastEvent"]>();
    expectTypeOf(useHybridRealtime({}, ({ isConnected }) => isConnected)).toEqualTypeOf<boolean>();
    expectTypeOf(useHybridRealtime()).toEqualTypeOf<HybridRealtime>();
  };
  expectTypeOf(view).toBeFunction();
});
