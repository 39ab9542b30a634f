/** Tokens, with the real server. */
import { EventSource } from "eventsource";
import { afterAll, beforeAll, describe, expect, test, vi } from "vitest";
import {
  AuthenticationError,
  getSSEToken,
  SSEClient,
  type SSEClientOptions,
  type TidewireError,
} from "../src/index.js";
import { Publisher } from "./publisher.js";
import { Server } from "./server.js";

interface Events {
  counted: { n: number };
}

let server: Server;

beforeAll(async () => {
  server = await Server.start();
});
afterAll(() => server.stop());

async function following(
  options: SSEClientOptions<Events>,
  begin: "connect" | "forcePolling",
  follow: (client: SSEClient<Events>) => Promise<void>,
): Promise<void> {
  const client = new SSEClient<Events>({ endpoint: `${server.url}/api/sse`, ...options });
  try {
    client[begin]();
    await follow(client);
  } finally {
    client.disconnect();
  }
}

/** Gives that token first, and then such as last. */
const afterFirst = (token: string) =>
  vi
    .fn<() => string>()
    .mockReturnValueOnce(token)
    .mockImplementation(() => server.token("alice", 60));

const connected = (client: SSEClient<Events>) =>
  vi.waitFor(() => expect(client.getStatus().isConnected).toBe(true), 10_000);

describe.each(["connect", "forcePolling"] as const)("after %s", (begin) => {
  test("a token that the server does not take is replaced, once, and nothing else is noticed", async () => {
    const seen: number[] = [];
    const getToken = afterFirst("nonsense");
    const eventHandlers = { counted: (event: { data: { n: number } }) => seen.push(event.data.n) };
    await following({ getToken, eventHandlers }, begin, async (client) => {
      await connected(client);
      await server.publish([1], { metadata: { userIds: ["alice"] } });
      await vi.waitFor(() => expect(seen).toEqual([1]), 10_000);
      expect(getToken).toHaveBeenCalledTimes(2);
    });
  });

  test("a second one that it does not take stops the client, with a typed error", async () => {
    const errors: TidewireError[] = [];
    const getToken = vi.fn(() => "nonsense");
    await following({ getToken, onError: (error) => errors.push(error) }, begin, async (client) => {
      await vi.waitFor(() => expect(client.getStatus().connectionStatus).toBe("stopped"), 10_000);
      expect(getToken).toHaveBeenCalledTimes(2);
      expect(errors.at(-1)).toBeInstanceOf(AuthenticationError);
      expect(errors.at(-1)).toMatchObject({ code: "AUTH_INVALID_TOKEN", fatal: true });
    });
  });
});

test("a token that is refused to an EventSource, which hides that, is replaced by the polls that follow", async () => {
  const getToken = afterFirst("nonsense");
  const options: SSEClientOptions<Events> = {
    getToken,
    streaming: "eventsource",
    EventSource: EventSource as never,
    maxReconnectAttempts: 1,
  };
  await following(options, "connect", async (client) => {
    await connected(client);
    expect(client.getStatus().activeMethod).toBe("polling");
    expect(getToken).toHaveBeenCalledTimes(2);
    client.forceSSE();
    await vi.waitFor(() => expect(client.getStatus().clientId).not.toBeNull(), 10_000);
  });
});

test("a token that runs out in mid-stream is renewed, and the stream goes on", async () => {
  const seen: string[] = [];
  const ends = Date.now() + 6_000;
  let pinged = 0;
  const getToken = afterFirst(server.token("alice", 6));
  const eventHandlers = {
    ping: ({ data }: { data: { timestamp: number } }) => {
      pinged = data.timestamp;
    },
    connected: () => seen.push("connected"),
    disconnected: () => seen.push("disconnected"),
    counted: (event: { data: { n: number } }) => seen.push(String(event.data.n)),
  };
  await following({ getToken, eventHandlers }, "connect", async (client) => {
    await connected(client);
    // The server has written to a stream when the first token was good no more.
    await vi.waitFor(() => expect(pinged).toBeGreaterThan(ends + 1_000), 15_000);
    await server.publish([1]);
    await vi.waitFor(() => expect(seen).toEqual(["connected", "1"]), 10_000);
    expect(getToken).toHaveBeenCalledTimes(2);
  });
});

test("a token that runs out and cannot be extended is replaced by a new stream without a hole", async () => {
  const seen: string[] = [];
  let streams = 0;
  const getToken = afterFirst(server.token("alice", 3));
  const options: SSEClientOptions<Events> = {
    getToken,
    // A network that lets nothing be posted.
    fetch: (url, init) =>
      init.method === "POST" ? Promise.reject(new TypeError("cut")) : fetch(url, init),
    eventHandlers: {
      connected: () => {
        streams += 1;
      },
      counted: (event) => seen.push(String(event.data.n)),
    },
    onGap: ({ reason }) => seen.push(reason),
  };
  await following(options, "connect", async (client) => {
    await connected(client);
    const publisher = new Publisher(server, 20);
    await vi.waitFor(() => expect(streams).toBe(2), 15_000);
    const { length } = seen;
    await vi.waitFor(() => expect(seen.length).toBeGreaterThan(length + 20), 10_000);
    const last = await publisher.stop();
    const numbers = Array.from({ length: last }, (_, index) => String(index + 1));
    await vi.waitFor(() => expect(seen).toEqual(numbers), 10_000);
  });
});

test("a token of the server's is taken by the server", async () => {
  const tokenEndpoint = `${server.url}/api/auth/sse-token?userId=alice`;
  const token = await getSSEToken({ endpoint: `${server.url}/api/sse`, tokenEndpoint });
  expect(token.refreshAfter).toBeLessThan(token.expiresAt);
  await following({ token: token.token }, "connect", connected);
});
