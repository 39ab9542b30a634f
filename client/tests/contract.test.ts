/** What holds whichever way events are read: one suite, over every transport, with the real
 *  server. */
import { EventSource } from "eventsource";
import { afterAll, afterEach, beforeAll, describe, expect, test, vi } from "vitest";
import { type Gap, SSEClient, type SSEClientOptions, type Status } from "../src/index.js";
import { Server } from "./server.js";

interface Events {
  counted: { n: number };
  other: { n: number };
}

const WAYS = {
  "a stream by fetch": { streaming: "fetch" },
  "a stream by EventSource": { streaming: "eventsource" },
  "long polling": { polling: "longPolling" },
  "short polling": { polling: "shortPolling" },
} as const;

type Way = keyof typeof WAYS;

/** Often, since what comes next is to come at once. */
const WAIT = { timeout: 15_000, interval: 5 };

let server: Server;
const clients: SSEClient<Events>[] = [];

beforeAll(async () => {
  server = await Server.start();
});
afterEach(() => {
  for (const client of clients.splice(0)) client.disconnect();
});
afterAll(() => server.stop());

/** A client that reads in one way, and writes down what it gets. */
class Reader {
  readonly seen: number[] = [];
  readonly gaps: Gap[] = [];
  readonly client: SSEClient<Events>;

  constructor(
    readonly way: Way,
    options: SSEClientOptions<Events> = {},
  ) {
    const how = WAYS[way];
    this.client = new SSEClient<Events>({
      endpoint: `${server.url}/api/sse`,
      userId: "alice",
      EventSource: EventSource as never,
      fetch: "polling" in how && how.polling === "shortPolling" ? unheld : fetch,
      ...("streaming" in how ? { streaming: how.streaming } : {}),
      eventHandlers: { "*": (event) => this.seen.push(event.data.n) },
      onGap: (gap) => this.gaps.push(gap),
      ...options,
    });
    clients.push(this.client);
  }

  async connect(): Promise<this> {
    if ("polling" in WAYS[this.way]) this.client.forcePolling();
    else this.client.connect();
    const how = WAYS[this.way];
    const method = "polling" in how ? how.polling : "sse";
    await this.until((status) => status.isConnected && status.method === method);
    return this;
  }

  async until(condition: (status: Status) => boolean): Promise<void> {
    await vi.waitFor(() => expect(this.client.getStatus()).toSatisfy(condition), 10_000);
  }

  async sees(expected: number[]): Promise<void> {
    await vi.waitFor(
      () => expect(this.seen.length).toBeGreaterThanOrEqual(expected.length),
      15_000,
    );
    expect(this.seen).toEqual(expected);
  }
}

/** A network that cuts what is held: polling goes down to what is not. */
const unheld: typeof fetch = async (url, init) => {
  if (!/[?&]wait=[^0]/.test(String(url))) {
    const response = await fetch(url, init);
    const body = await response.text();
    // Tests do not wait for ten seconds.
    return new Response(body.replace('"nextPollIn":10000', '"nextPollIn":1000'), response);
  }
  throw new TypeError("cut");
};

const numbers = (from: number, to: number) =>
  Array.from({ length: to - from + 1 }, (_, index) => from + index);

describe.each(Object.keys(WAYS) as Way[])("%s", (way) => {
  const reader = (options?: SSEClientOptions<Events>) => new Reader(way, options);

  test("brings every event once, in order", async () => {
    const alice = await reader().connect();
    for (let first = 1; first <= 300; first += 50) {
      await server.publish(numbers(first, first + 49));
    }
    await alice.sees(numbers(1, 300));
    expect(alice.gaps).toEqual([]);
  });

  test("brings what was published while nobody was connected, from the cursor", async () => {
    const alice = await reader().connect();
    await server.publish([1, 2]);
    await alice.sees([1, 2]);
    alice.client.disconnect();
    await server.publish(numbers(3, 900));
    await alice.connect();
    await alice.sees(numbers(1, 900));
  });

  test("begins at the cursor of a snapshot", async () => {
    const since = await server.cursor();
    await server.publish([7, 8]);
    const alice = await reader({ since }).connect();
    await server.publish([9]);
    await alice.sees([7, 8, 9]);
  });

  test("brings only what one may see", async () => {
    const alice = reader({ params: { roles: "EDITOR" } });
    await alice.connect();
    await server.publish([1], { metadata: { userIds: ["bob"] } });
    await server.publish([2], { metadata: { userIds: ["alice", "bob"] } });
    await server.publish([3], { metadata: { roles: ["ADMIN"] } });
    await server.publish([4], { metadata: { roles: ["EDITOR"] } });
    await server.publish([5]);
    await alice.sees([2, 4, 5]);
  });

  test("brings only the types that are asked for", async () => {
    const alice = await reader({ types: ["counted"] }).connect();
    await server.publish([1], { type: "other" });
    await server.publish([2]);
    await alice.sees([2]);
  });

  test("brings text of every script, and whatever JSON can hold", async () => {
    const said: unknown[] = [];
    const alice = reader({ eventHandlers: { counted: (event) => said.push(event.data) } });
    await alice.connect();
    const data = { n: 0, text: "ö 漢字 🌊 \u2028 \u0085 \n\r data: x", nothing: null };
    await server.publish([0], { data });
    await vi.waitFor(() => expect(said).toEqual([data]), 10_000);
  });

  test("says once what a new server does not hold any more, and goes on", async () => {
    const alice = await reader().connect();
    await server.publish([1]);
    await alice.sees([1]);
    const { port } = server;
    await server.stop("SIGKILL");
    server = await Server.start(port);
    await server.publish([2]);
    await vi.waitFor(() => expect(alice.gaps).toHaveLength(1), 15_000);
    await server.publish([3]);
    await alice.sees([1, 2, 3]);
    expect(alice.gaps).toEqual([expect.objectContaining({ reason: "epoch" })]);
  });

  test("leaves nothing open", async () => {
    await vi.waitFor(async () => expect(await server.connections()).toBe(0), 10_000);
    const { client } = await reader().connect();
    if (way !== "short polling") {
      await vi.waitFor(async () => expect(await server.connections()).toBe(1), 10_000);
    }
    client.disconnect();
    await vi.waitFor(async () => expect(await server.connections()).toBe(0), 10_000);
  });
});

let cuts = 0;

/** A network that cuts every stream, wherever it stands, after a while. */
const cutting: typeof fetch = async (url, init) => {
  const response = await fetch(url, init);
  if (response.body === null || !String(url).includes("/sse?")) return response;
  let left = 600 + Math.random() * 6_000;
  const cut = new TransformStream<Uint8Array, Uint8Array>({
    transform(chunk, controller) {
      controller.enqueue(chunk.slice(0, left));
      left -= chunk.length;
      if (left > 0) return;
      cuts += 1;
      controller.error(new TypeError("cut"));
    },
  });
  return new Response(response.body.pipeThrough(cut), response);
};

test("through a network that cuts streams anywhere nothing is lost, and nothing comes twice", async () => {
  const options = { fetch: cutting, maxReconnectAttempts: 1_000 };
  const alice = await new Reader("a stream by fetch", options).connect();
  await server.publish(numbers(1, 300));
  // It is in no hurry to come back, and asked to: once a cut, for that gives up what is under way.
  let asked = 0;
  const hurry = setInterval(() => {
    if (asked === cuts || alice.client.getStatus().isConnected) return;
    asked = cuts;
    alice.client.reconnect();
  }, 20);
  try {
    await alice.sees(numbers(1, 300));
  } finally {
    clearInterval(hurry);
  }
  expect(alice.gaps).toEqual([]);
  expect(cuts).toBeGreaterThan(5);
});

test("through ten switches in a stream of events none is lost, none twice, and the order kept", async () => {
  const alice = await new Reader("a stream by fetch").connect();
  for (let turn = 0; turn < 10; turn += 1) {
    await server.publish(numbers(turn * 20 + 1, turn * 20 + 10));
    if (turn % 2 === 0) alice.client.forcePolling();
    else alice.client.forceSSE();
    await server.publish(numbers(turn * 20 + 11, turn * 20 + 20));
    // The next comes before this one has opened anything, or in the midst of its events.
    const seen = turn * 20 + ((turn * 13) % 40) - 20;
    await vi.waitFor(() => expect(alice.seen.length).toBeGreaterThanOrEqual(seen), WAIT);
  }
  await alice.sees(numbers(1, 200));
  expect(alice.gaps).toEqual([]);
});
