import { afterEach, beforeEach, describe, expect, expectTypeOf, test, vi } from "vitest";
import { AuthenticationError, getSSEToken, SSEClient, type TidewireError } from "../src/index.js";
import { LIMITED, said, streamed, UNAUTHORISED } from "./model.js";
import { block, OPENING, settle, Wire } from "./wire.js";

let wire: Wire;

beforeEach(() => {
  vi.useFakeTimers();
  vi.spyOn(Math, "random").mockReturnValue(0.5);
  wire = new Wire();
});
afterEach(() => {
  vi.useRealTimers();
  vi.restoreAllMocks();
  vi.unstubAllGlobals();
});

const problemOf = (signal: typeof LIMITED) => (signal.type === "failed" ? signal.failure : {});

describe("a client", () => {
  test("asks for what its options say", async () => {
    const client = wire.client({
      userId: "alice",
      clientType: "dashboard",
      types: ["a", "b"],
      topics: ["t"],
      token: "secret",
      since: "c5",
      params: { roles: "EDITOR" },
      headers: { "X-Tenant": "7" },
    });
    client.connect();
    await settle();
    const { url, init } = wire.last;
    expect(url.pathname).toBe("/api/sse");
    const { instanceId, ...params } = Object.fromEntries(url.searchParams);
    expect(params).toEqual({
      userId: "alice",
      clientType: "dashboard",
      types: "a,b",
      topics: "t",
      since: "c5",
      roles: "EDITOR",
    });
    expect(instanceId).toMatch(/^\d+-\d+-\d+$/);
    expect(new Headers(init.headers).get("Authorization")).toBe("Bearer secret");
    expect(wire.last.header("X-Tenant")).toBe("7");
    expect(wire.last.header("Last-Event-ID")).toBeNull();
    client.disconnect();
  });

  test("sends the Authorization that it is given, where there is no token", async () => {
    const client = wire.client({ headers: { Authorization: "Basic abc" } });
    client.connect();
    await settle();
    expect(wire.last.header("Authorization")).toBe("Basic abc");
    client.disconnect();
  });

  test("asks for no new token at a time that is none", async () => {
    let asked = 0;
    const getToken = () => {
      asked += 1;
      return { token: "t" } as never;
    };
    const { client } = await wire.streaming({ getToken });
    await vi.advanceTimersByTimeAsync(20_000);
    expect(asked).toBe(1);
    expect(wire.requests).toHaveLength(1);
    client.disconnect();
  });

  test("says by Last-Event-ID from where it goes on", async () => {
    const { client, stream } = await wire.streaming();
    await stream.write(block(streamed("e9")));
    await stream.end();
    await vi.advanceTimersByTimeAsync(500);
    expect(wire.requests).toHaveLength(2);
    expect(wire.last.header("Last-Event-ID")).toBe("e9");
    client.disconnect();
  });

  test("leaves no timer and no request behind", async () => {
    const { client, stream } = await wire.streaming();
    client.forcePolling();
    await settle();
    client.disconnect();
    expect(vi.getTimerCount()).toBe(0);
    expect(stream.aborted).toBe(true);
    expect(wire.requests.every((request) => request.aborted)).toBe(true);
  });

  test("is connected once, however often it is asked to", async () => {
    const { client } = await wire.streaming();
    client.connect();
    client.connect();
    await settle();
    expect(wire.requests).toHaveLength(1);
    client.disconnect();
  });

  test("polls within the time to open and a second when a proxy holds the stream back", async () => {
    const errors: TidewireError[] = [];
    const client = wire.client({ onError: (error) => errors.push(error) });
    client.connect();
    await settle();
    await wire.last.stream();
    await vi.advanceTimersByTimeAsync(11_000);
    expect(wire.last.url.pathname).toBe("/api/realtime/polling");
    await wire.last.events([]);
    expect(client.getStatus()).toMatchObject({
      isConnected: true,
      activeMethod: "polling",
      reason: "OPEN_TIMEOUT",
      error: null,
    });
    expect(errors).toMatchObject([{ code: "OPEN_TIMEOUT", fatal: false }]);
    client.disconnect();
  });

  test("is on a stream again within a minute when the proxy lets it through", async () => {
    const seen: string[] = [];
    const client = wire.client({ eventHandlers: { "*": ({ id }) => seen.push(id) } });
    client.connect();
    await settle();
    await wire.last.json(problemOf(LIMITED), 429);
    const started = Date.now();
    const open = (path: string) =>
      wire.requests.find((request) => !request.aborted && request.url.pathname === path);
    while (open("/api/sse") === undefined) {
      await vi.advanceTimersByTimeAsync(50);
      await open("/api/realtime/polling")?.events([]);
    }
    // What is polled until the stream is there, the stream brings again.
    await vi.advanceTimersByTimeAsync(600);
    await open("/api/realtime/polling")?.events(["e1"]);
    const probe = await open("/api/sse")?.stream();
    await probe?.write(OPENING + block(streamed("e1")) + block(streamed("e2")));
    expect(client.getStatus().activeMethod).toBe("sse");
    // The answer had forbidden streams for a minute.
    expect(Date.now() - started).toBeLessThan(62_000);
    expect(seen).toEqual(["e1", "e2"]);
    client.disconnect();
  });

  test("takes a page that somebody answers with for a reason to poll", async () => {
    const client = wire.client();
    client.connect();
    await settle();
    await wire.last.text("<h1>Log in</h1>");
    expect(client.getStatus()).toMatchObject({ activeMethod: "polling", reason: "NOT_A_STREAM" });
    await vi.advanceTimersByTimeAsync(1_000);
    await wire.last.text("<h1>Log in</h1>");
    expect(client.getStatus()).toMatchObject({ reason: "NOT_AN_ANSWER" });
    client.disconnect();
  });

  test("does not give up because of a status that is not the server's", async () => {
    const client = wire.client();
    client.connect();
    await settle();
    await wire.last.text("Not found", 404);
    expect(client.getStatus()).toMatchObject({
      connectionStatus: "reconnecting",
      reason: "HTTP_404",
    });
    client.disconnect();
  });

  test("takes a character that the network cut in two", async () => {
    const texts: unknown[] = [];
    const { client, stream } = await wire.streaming({
      eventHandlers: { "*": ({ data }) => texts.push(data) },
    });
    const event = { id: "e1", type: "notification", data: "🌊" };
    const bytes = new TextEncoder().encode(`data: ${JSON.stringify(event)}\nid: e1\n\n`);
    const middle = bytes.indexOf(0xf0) + 2;
    await stream.write(bytes.slice(0, middle));
    await stream.write(bytes.slice(middle));
    expect(texts).toEqual(["🌊"]);
    client.disconnect();
  });

  test("does not move over an event that was cut before its end", async () => {
    const { client, stream } = await wire.streaming();
    await stream.write(block(streamed("e1")).trimEnd());
    await stream.end();
    expect(client.cursor).toBe("c0");
    client.disconnect();
  });

  test("rings its timers though the clock is set back", async () => {
    const { client, stream } = await wire.streaming();
    vi.setSystemTime(Date.now() - 3_600_000);
    await vi.advanceTimersByTimeAsync(33_500);
    expect(stream.aborted).toBe(true);
    expect(client.getStatus().reason).toBe("MUTE");
    await vi.advanceTimersByTimeAsync(1_000);
    expect(wire.requests).toHaveLength(2);
    client.disconnect();
  });

  test("can be made where pages are rendered, and asks for a URL only when it connects", () => {
    const client = new SSEClient();
    expect(client.getStatus().connectionStatus).toBe("disconnected");
    expect(() => client.connect()).toThrow(TypeError);
  });
});

describe("handlers", () => {
  test("get the events of their type, `*` gets all, and controls go by their names", async () => {
    const got: string[] = [];
    const { client, stream } = await wire.streaming({
      eventHandlers: {
        "*": ({ id }) => got.push(`* ${id}`),
        notification: ({ id }) => got.push(`notification ${id}`),
        connected: ({ data }) => got.push(`connected ${data.clientId}`),
        disconnecting: ({ data }) => got.push(`disconnecting ${data.reason}`),
        disconnected: ({ data }) => got.push(`disconnected ${data.nextIn}`),
      },
    });
    await stream.write(block(streamed("e1")));
    const data = { reason: "drain", reconnectAfter: 700 };
    await stream.write(block(said({ type: "disconnecting", data })));
    expect(got).toEqual([
      "connected client",
      "notification e1",
      "* e1",
      "disconnecting drain",
      "disconnected 700",
    ]);
    client.disconnect();
  });

  test("that fail break nothing", async () => {
    const complain = vi.spyOn(console, "error").mockImplementation(() => {});
    const seen: string[] = [];
    const { client, stream } = await wire.streaming({
      eventHandlers: {
        notification: () => {
          throw new Error("mine");
        },
      },
    });
    client.on("notification", async () => {
      throw new Error("mine, later");
    });
    client.on("*", ({ id }) => seen.push(id));
    await stream.write(block(streamed("e1")) + block(streamed("e2")));
    expect(seen).toEqual(["e1", "e2"]);
    expect(complain).toHaveBeenCalledTimes(4);
    client.disconnect();
  });

  test("can be removed, also by themselves", async () => {
    const seen: string[] = [];
    const { client, stream } = await wire.streaming();
    const remove = client.on("notification", ({ id }) => {
      seen.push(`once ${id}`);
      remove();
    });
    const handler = ({ id }: { id: string }) => seen.push(id);
    client.on("*", handler);
    await stream.write(block(streamed("e1")) + block(streamed("e2")));
    client.off("*", handler);
    await stream.write(block(streamed("e3")));
    expect(seen).toEqual(["once e1", "e1", "e2"]);
    client.disconnect();
  });

  test("that disconnect are not called again, and lose nothing of what was received", async () => {
    const seen: string[] = [];
    const client = wire.client({
      eventHandlers: {
        "*": ({ id }) => {
          seen.push(id);
          client.disconnect();
        },
      },
    });
    client.forcePolling();
    await settle();
    await wire.last.events(["e1", "e2"]);
    // The cursor is behind both.
    expect(seen).toEqual(["e1", "e2"]);
    expect(client.cursor).toBe("e2");
    expect(vi.getTimerCount()).toBe(0);
  });

  test("are typed by the events that the user declares", () => {
    interface Events {
      orderShipped: { order: number };
    }
    const client = new SSEClient<Events>({
      eventHandlers: {
        orderShipped: ({ data }) => expectTypeOf(data.order).toEqualTypeOf<number>(),
        ping: ({ data }) => expectTypeOf(data.head).toEqualTypeOf<string>(),
        "*": ({ type }) => expectTypeOf(type).toEqualTypeOf<"orderShipped">(),
      },
    });
    client.on("gap", ({ data }) => expectTypeOf(data.reason).toExtend<string>());
    // @ts-expect-error: nobody declared it.
    client.on("orderLost", () => {});
    const known = new SSEClient({
      eventHandlers: {
        connected: ({ data }) => expectTypeOf(data.resumed).toEqualTypeOf<boolean>(),
      },
    });
    known.on("notification", ({ data }) => expectTypeOf(data.title).toEqualTypeOf<string>());
  });
});

describe("the status", () => {
  test("is the same object until it changes, and whoever subscribed is told", async () => {
    const client = wire.client();
    const shown: string[] = [];
    const stop = client.subscribe(() => shown.push(client.getStatus().connectionStatus));
    client.connect();
    await settle();
    await wire.last.stream();
    await wire.last.write(OPENING);
    const status = client.getStatus();
    await wire.last.write(block(streamed("e1")));
    expect(client.getStatus()).toBe(status);
    await wire.last.end();
    client.disconnect();
    expect(shown).toEqual(["connecting", "connected", "reconnecting", "disconnected"]);
    stop();
    client.connect();
    expect(shown).toHaveLength(4);
    client.disconnect();
  });
});

describe("a token", () => {
  test("is fetched before the first request, and only once", async () => {
    const getToken = vi.fn(async () => "first");
    const client = wire.client({ getToken });
    client.connect();
    client.reconnect();
    await settle();
    expect(getToken).toHaveBeenCalledTimes(1);
    expect(wire.requests).toHaveLength(1);
    expect(wire.last.header("Authorization")).toBe("Bearer first");
    client.disconnect();
  });

  test("is replaced once after a 401; then the client stops, with a typed error", async () => {
    const errors: TidewireError[] = [];
    let count = 0;
    const client = wire.client({
      getToken: () => `token ${++count}`,
      onError: (error) => errors.push(error),
    });
    client.connect();
    await settle();
    await wire.last.json(problemOf(UNAUTHORISED), 401);
    await settle();
    expect(wire.last.header("Authorization")).toBe("Bearer token 2");
    await wire.last.json(problemOf(UNAUTHORISED), 401);
    expect(client.getStatus()).toMatchObject({
      connectionStatus: "stopped",
      error: { code: "AUTH_EXPIRED_TOKEN" },
    });
    expect(errors.map((error) => error.fatal)).toEqual([false, true]);
    expect(errors[1]).toBeInstanceOf(AuthenticationError);
    expect(wire.requests).toHaveLength(2);
    expect(vi.getTimerCount()).toBe(0);
  });

  test("is renewed when it is due, and the open stream is extended by it", async () => {
    let count = 0;
    const { client, stream } = await wire.streaming({
      getToken: () => ({ token: `token ${++count}`, refreshAfter: Date.now() + 60_000 }),
    });
    for (let time = 0; time < 3; time += 1) {
      await vi.advanceTimersByTimeAsync(20_000);
      await stream.write(block(streamed(`e${time}`)));
    }
    await settle();
    expect(wire.last.url.pathname).toBe("/api/auth/sse-token/refresh");
    expect(wire.last.header("Authorization")).toBe("Bearer token 2");
    expect(wire.last.init.body).toBe('{"clientId":"client"}');
    expect(stream.aborted).toBe(false);
    client.disconnect();
  });

  test("comes from the server by the session of the page", async () => {
    const token = getSSEToken({ endpoint: "http://server.test/app/api/sse", fetch: wire.fetch });
    expect(wire.last.url.href).toBe("http://server.test/app/api/auth/sse-token");
    await wire.last.json({ token: "t", refreshAfter: 1 });
    expect(await token).toMatchObject({ token: "t" });
  });

  test("that the server refuses is a typed error", async () => {
    const token = getSSEToken({ endpoint: "http://server.test/api/sse", fetch: wire.fetch });
    const refused = expect(token).rejects.toBeInstanceOf(AuthenticationError);
    await wire.last.json(problemOf(UNAUTHORISED), 401);
    await refused;
    const other = getSSEToken({ endpoint: "http://server.test/api/sse", fetch: wire.fetch });
    const rejected = expect(other).rejects.toMatchObject({ code: "NETWORK" });
    await wire.last.fail();
    await rejected;
  });
});

describe("the page", () => {
  const page = () => {
    const document = Object.assign(new EventTarget(), { hidden: false });
    const window = new EventTarget();
    vi.stubGlobal("document", document);
    vi.stubGlobal("window", window);
    return { document, window };
  };
  const kept = (type: string) => Object.assign(new Event(type), { persisted: true });

  test("is frozen without a connection, and goes on from the cursor", async () => {
    const { document } = page();
    const { client, stream } = await wire.streaming();
    await stream.write(block(streamed("e3")));
    document.dispatchEvent(new Event("freeze"));
    expect(stream.aborted).toBe(true);
    expect(vi.getTimerCount()).toBe(0);
    document.dispatchEvent(new Event("resume"));
    await settle();
    expect(wire.last.header("Last-Event-ID")).toBe("e3");
    client.disconnect();
  });

  test("that is kept for going back to has no connection", async () => {
    const { window } = page();
    const { client, stream } = await wire.streaming();
    window.dispatchEvent(kept("pagehide"));
    expect(stream.aborted).toBe(true);
    window.dispatchEvent(kept("pageshow"));
    await settle();
    expect(wire.requests).toHaveLength(2);
    client.disconnect();
  });

  test("without network waits for it", async () => {
    const { window } = page();
    const { client, stream } = await wire.streaming();
    window.dispatchEvent(new Event("offline"));
    expect(stream.aborted).toBe(true);
    expect(client.getStatus().connectionStatus).toBe("offline");
    window.dispatchEvent(new Event("online"));
    await vi.advanceTimersByTimeAsync(1_000);
    expect(wire.requests).toHaveLength(2);
    client.disconnect();
  });

  test("that comes into view opens a stream anew that has missed a ping", async () => {
    const { document } = page();
    const { client, stream } = await wire.streaming();
    await vi.advanceTimersByTimeAsync(30_500);
    document.dispatchEvent(new Event("visibilitychange"));
    expect(stream.aborted).toBe(true);
    client.disconnect();
  });

  test("is not watched any more after `disconnect`", async () => {
    const { window } = page();
    const { client } = await wire.streaming();
    client.disconnect();
    window.dispatchEvent(new Event("offline"));
    expect(client.getStatus().connectionStatus).toBe("disconnected");
  });
});
