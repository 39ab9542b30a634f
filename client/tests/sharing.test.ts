/** Pages that share a connection, with what a browser has to do with that as a fake. */
import { afterEach, beforeEach, describe, expect, test, vi } from "vitest";
import { type Envelope, SSEClient, type SSEClientOptions } from "../src/index.js";
import { Locks } from "./locks.js";
import { answer, connected, event, streamed } from "./model.js";
import { block } from "./wire.js";

type Events = Record<string, unknown>;

/** A server: streams that events are written to, and polls that find nothing. */
class Server {
  readonly streams: { token: string | null; write: (text: string) => void; open: boolean }[] = [];
  /** How often tokens were asked for. */
  tokens = 0;
  /** By what each poll that was asked is given up. */
  readonly polls: (AbortSignal | null | undefined)[] = [];
  poll: () => Promise<Response> = async () => Response.json(POLLED);
  refuse: (() => Response) | null = null;

  readonly fetch = async (url: string, init: RequestInit): Promise<Response> => {
    const { pathname } = new URL(url);
    if (this.refuse !== null) return this.refuse();
    if (pathname.endsWith("/polling")) {
      this.polls.push(init.signal);
      return this.poll();
    }
    const token = new Headers(init.headers).get("Authorization");
    const body = new ReadableStream<Uint8Array>({
      start: (controller) => {
        const write = (text: string) => controller.enqueue(new TextEncoder().encode(text));
        const stream = { token, write, open: true };
        this.streams.push(stream);
        init.signal?.addEventListener("abort", () => {
          stream.open = false;
          controller.error(new DOMException("aborted", "AbortError"));
        });
        write(block(connected("c1")));
      },
    });
    return new Response(body, { headers: { "Content-Type": "text/event-stream" } });
  };

  get open(): number {
    return this.streams.filter(({ open }) => open).length;
  }

  say(id: string): void {
    for (const stream of this.streams) if (stream.open) stream.write(block(streamed(id)));
  }
}

const told = answer([], { cursor: "c1" });
const POLLED = told.type === "answer" ? told.answer : null;
const token = (sub: string, rest: object = {}) =>
  `h.${btoa(JSON.stringify({ sub, jti: Math.random(), ...rest }))}.s`;

let server: Server;
let locks: Locks;
const clients: SSEClient<Events>[] = [];

beforeEach(() => {
  server = new Server();
  locks = new Locks();
  vi.stubGlobal("window", new EventTarget());
  vi.stubGlobal("document", Object.assign(new EventTarget(), { hidden: false }));
  vi.stubGlobal("navigator", { locks, onLine: true });
});
afterEach(() => {
  for (const client of clients.splice(0)) client.disconnect();
  vi.unstubAllGlobals();
});

function page(options: SSEClientOptions<Events> = {}): {
  client: SSEClient<Events>;
  seen: string[];
} {
  const seen: string[] = [];
  const client = new SSEClient<Events>({
    endpoint: "http://server.test/api/sse",
    fetch: server.fetch,
    eventHandlers: { "*": (event: Envelope) => seen.push(event.id) } as never,
    ...options,
  });
  clients.push(client);
  return { client, seen };
}

const role = (client: SSEClient<Events>, expected: string) =>
  vi.waitFor(() => expect(client.getStatus()).toMatchObject({ isConnected: true, role: expected }));

describe("a page", () => {
  test("that connects, disconnects and connects at once has one connection, and can end it", async () => {
    const { client, seen } = page({ userId: "alice" });
    client.connect();
    client.disconnect();
    client.connect();
    await role(client, "leader");
    server.say("c2");
    await vi.waitFor(() => expect(seen).toEqual(["c2"]));
    expect(server.streams).toHaveLength(1);
    client.disconnect();
    await vi.waitFor(() => expect(locks.held).toBe(0));
    expect(server.open).toBe(0);
  });

  test("that disconnects while the server is asked who it is leaves nothing asked", async () => {
    server.poll = () => new Promise(() => {});
    const { client } = page();
    client.connect();
    await vi.waitFor(() => expect(server.polls).toHaveLength(1));
    expect(server.polls[0]?.aborted).toBe(false);
    client.disconnect();
    expect(server.polls[0]?.aborted).toBe(true);
  });

  test("whose browser refuses it locks is alone, and asks no more", async () => {
    locks.forbidden = true;
    const { client } = page({ userId: "alice" });
    client.connect();
    await role(client, "alone");
    expect(locks.asked).toBe(1);
    expect(server.open).toBe(1);
  });

  test("that disconnected while it was found out who asks does not join those whom that names", async () => {
    let give: (token: string) => void = () => {};
    const tokens = [new Promise<string>((resolve) => (give = resolve)), token("bob")];
    const alice = page({ getToken: () => token("alice") });
    alice.client.connect();
    await role(alice.client, "leader");
    const other = page({ getToken: () => tokens.shift() ?? token("bob") });
    other.client.connect();
    await vi.waitFor(() => expect(tokens).toHaveLength(1));
    other.client.disconnect();
    other.client.connect();
    give(token("alice"));
    await role(other.client, "leader");
    expect(server.open).toBe(2);
  });

  test("does not use the token of who was there before", async () => {
    const alice = page({ getToken: () => token("alice") });
    alice.client.connect();
    await role(alice.client, "leader");
    let user = "alice";
    let broken = false;
    const other = page({
      getToken: () => {
        if (broken) throw new Error("no token now");
        return token(user);
      },
    });
    other.client.connect();
    await role(other.client, "follower");
    other.client.disconnect();
    user = "bob";
    broken = true;
    other.client.connect();
    await vi.waitFor(() => expect(other.client.getStatus().error).not.toBeNull());
    broken = false;
    other.client.reconnect();
    await vi.waitFor(() => expect(other.client.getStatus().isConnected).toBe(true));
    const [, ...later] = server.streams.map(({ token }) => token?.split(".")[1] ?? "");
    expect(later.map((claims) => JSON.parse(atob(claims)).sub)).not.toContain("alice");
    expect(later.length).toBeGreaterThan(0);
  });

  test("whose token gives other rights has a connection of its own", async () => {
    const admin = page({ token: token("alice", { roles: ["ADMIN"] }) });
    admin.client.connect();
    await role(admin.client, "leader");
    const editor = page({ token: token("alice", { roles: ["EDITOR"] }) });
    editor.client.connect();
    await role(editor.client, "leader");
    const again = page({ token: token("alice", { roles: ["ADMIN"] }) });
    again.client.connect();
    await role(again.client, "follower");
  });

  test("whose tokens do not say whose they are is alone, and a lasting 401 stops it", async () => {
    let asked = 0;
    const { client } = page({
      getToken: () => {
        asked += 1;
        return `opaque-${asked}`;
      },
    });
    client.connect();
    await role(client, "alone");
    const problem = {
      code: "AUTH_INVALID_TOKEN",
      detail: "",
      category: "authentication",
      recovery: "refresh_token",
    };
    server.refuse = () =>
      Response.json(problem, {
        status: 401,
        headers: { "Content-Type": "application/problem+json" },
      });
    const before = asked;
    client.reconnect();
    await vi.waitFor(() => expect(client.getStatus().connectionStatus).toBe("stopped"));
    expect(asked - before).toBe(1);
  });

  test("that was told to poll polls when it connects again", async () => {
    const { client } = page({ userId: "alice" });
    client.forcePolling();
    await role(client, "leader");
    client.disconnect();
    client.connect();
    await role(client, "leader");
    expect(client.getStatus().activeMethod).toBe("polling");
    expect(server.streams).toHaveLength(0);
  });
});

test("a page that is brought in from the log is so even if the log was asked in vain at first", async () => {
  vi.useFakeTimers({ toFake: ["setTimeout", "clearTimeout", "performance", "Date"] });
  try {
    const leader = page({ userId: "alice" });
    leader.client.connect();
    await vi.waitFor(() => expect(leader.client.getStatus().isConnected).toBe(true));
    server.poll = () => new Promise(() => {});
    const late = page({ userId: "alice", since: "c0" });
    late.client.connect();
    await vi.waitFor(() => expect(server.polls).toHaveLength(1));
    const found = { ...POLLED, events: [event("c0.5")], cursor: "c1" };
    server.poll = async () => Response.json(found);
    // It is given up, rested from, and asked again as something comes.
    for (let second = 0; second < 30 && late.seen.length === 0; second += 1) {
      await vi.advanceTimersByTimeAsync(1_000);
      server.say(`c${second + 2}`);
    }
    await vi.waitFor(() => expect(late.seen.length).toBeGreaterThan(10));
    expect(late.seen[0]).toBe("c0.5");
    await vi.waitFor(() => expect(late.seen.slice(1)).toEqual(leader.seen));
    expect(server.polls.length).toBeLessThan(5);
  } finally {
    vi.useRealTimers();
  }
});
