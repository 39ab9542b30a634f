/** nginx between page and server, as its shipped configuration has it. */
import { once } from "node:events";
import { createServer, type IncomingHttpHeaders } from "node:http";
import { Agent, get } from "node:https";
import type { AddressInfo } from "node:net";
import { afterAll, beforeAll, describe, expect, onTestFinished, test } from "vitest";
import { Publisher } from "../publisher.js";
import { Server } from "../server.js";
import { browserForFile } from "./browser.js";
import { Nginx, type NginxOptions } from "./nginx.js";
import { numbers } from "./tab.js";

const OPEN_TIMEOUT = 10_000;
/** What a busy machine may take, in milliseconds. */
const AT_ONCE = 800;

const browsers = {
  h2: browserForFile(),
  "http/1.1": browserForFile("--disable-http2"),
};
let server: Server;
let upstream: string;

beforeAll(async () => {
  // Pings come more seldom than the time-outs of nginx that are not those of streams.
  server = await Server.start({ settings: { TIDEWIRE_PING_INTERVAL: "3" } });
  upstream = new URL(server.url).host;
});
afterAll(() => server.stop());

async function started(options: NginxOptions): Promise<Nginx> {
  const nginx = await Nginx.start(options);
  onTestFinished(() => nginx.stop());
  return nginx;
}

describe.each(["h2", "http/1.1"] as const)("by %s", (protocol) => {
  test("events come through nginx at once, by one stream that lasts, and by another from the cursor when it was cut", async () => {
    const nginx = await started({ upstream });
    const tab = await browsers[protocol].open(nginx.url);
    tab.profile.expects(/ERR_CONNECTION_|ERR_HTTP2_|ERR_INCOMPLETE_CHUNKED_ENCODING/);
    await tab.connect({ userId: "alice", maxReconnectAttempts: 100 });
    await tab.page.evaluate(async () => (await fetch("/livez")).text());
    const spoken = await tab.page.waitForFunction(() => {
      const [entry] = performance.getEntriesByName(`${location.origin}/livez`);
      return (entry as PerformanceResourceTiming | undefined)?.nextHopProtocol;
    });
    expect(await spoken.jsonValue()).toBe(protocol);

    const encoding = await tab.page.evaluate(async () => {
      const abort = new AbortController();
      const { headers } = await fetch("/api/sse?userId=carol", abort);
      abort.abort();
      return headers.get("content-encoding");
    });
    expect(encoding).toBeNull();

    for (const n of numbers(1, 20)) await server.publish([n]);
    await tab.sees(numbers(1, 20));
    const { events } = await tab.recorded();
    const delays = events.map(({ at, timestamp }) => at - timestamp);
    expect(Math.max(...delays)).toBeLessThan(AT_ONCE);

    // A stream that was silent for longer than other answers may be.
    const pings = (await tab.recorded()).pings;
    await tab.page.waitForFunction((pings) => recorded.pings > pings, pings);
    expect((await tab.recorded()).streams).toHaveLength(1);

    await nginx.cut();
    await tab.until(({ isConnected }) => !isConnected);
    await server.publish(numbers(21, 60));
    await nginx.resume();
    await tab.until(({ isConnected }) => isConnected);
    await server.publish(numbers(61, 70));
    await tab.sees(numbers(1, 70));
    expect((await tab.recorded()).streams).toHaveLength(2);
    expect(tab.asked("/api/realtime/polling")).toBe(0);
  });
});

test("a poll is held through nginx for as long as the client wants", async () => {
  const nginx = await started({ upstream });
  const tab = await browsers.h2.open(nginx.url);
  await tab.connect({ userId: "alice" }, "forcePolling");
  // One that is answered at once, and one that is held.
  await expect.poll(() => tab.asked("/api/realtime/polling")).toBe(2);
  await expect.poll(() => server.connections()).toBe(1);
  // Other answers are given up after a second.
  await new Promise((resolve) => setTimeout(resolve, 3_000));
  expect(tab.asked("/api/realtime/polling")).toBe(2);
  await server.publish([1]);
  await tab.sees([1]);
  const [event] = (await tab.recorded()).events;
  expect(Number(event?.at) - Number(event?.timestamp)).toBeLessThan(AT_ONCE);
});

test("the access log of nginx says who asked for what, and no token", async () => {
  const nginx = await started({ upstream });
  const tab = await browsers.h2.open(nginx.url);
  const token = server.token("alice", 60);
  await tab.connect({ token, streaming: "eventsource" });
  await tab.order("disconnect");
  await expect
    .poll(() => nginx.log())
    .toMatch(/^127\.0\.0\.1 .* "GET \/api\/sse HTTP\/2\.0" 200 /m);
  expect(nginx.log()).not.toMatch(/token|eyJ/);
});

test("behind an nginx that buffers streams a page polls after openTimeout, and nothing is lost", async () => {
  const nginx = await started({ upstream, buffering: true });
  const tab = await browsers.h2.open(nginx.url);
  const since = await server.cursor();
  const begun = Date.now();
  await tab.start({ userId: "alice", since });
  const publisher = new Publisher(server, 50);
  await tab.until(({ isConnected }) => isConnected, OPEN_TIMEOUT + 5_000);
  const polling = (await tab.recorded()).statuses.find(({ isConnected }) => isConnected);
  expect(polling).toMatchObject({ activeMethod: "polling", reason: "OPEN_TIMEOUT" });
  expect(Number(polling?.at) - begun).toBeLessThan(OPEN_TIMEOUT + 2_000);
  await tab.sees(numbers(1, await publisher.stop()));
  expect((await tab.recorded()).streams).toEqual([]);
});

test("nginx tells the server who asks, by HTTP/1.1, and uses its connections again", async () => {
  const seen: { headers: IncomingHttpHeaders; version: string; port: number | undefined }[] = [];
  const echo = createServer(({ headers, httpVersion, socket }, answer) => {
    seen.push({ headers, version: httpVersion, port: socket.remotePort });
    answer.end("{}");
  }).listen(0, "127.0.0.1");
  await once(echo, "listening");
  onTestFinished(() => {
    echo.close();
    echo.closeAllConnections();
  });
  const { port } = echo.address() as AddressInfo;
  const nginx = await started({ upstream: `127.0.0.1:${port}` });
  const agent = new Agent({ rejectUnauthorized: false });
  for (const path of ["/api/realtime/cursor", "/api/realtime/cursor"]) {
    const headers = { "X-Forwarded-For": "192.0.2.1" };
    // Loopback has more than one address.
    const request = get(nginx.url + path, { agent, headers, localAddress: "127.0.0.2", family: 4 });
    const [response] = await once(request, "response");
    await once(response.resume(), "end");
  }
  const { host } = new URL(nginx.url);
  expect(seen[0]?.headers).toMatchObject({
    host,
    "x-forwarded-for": "192.0.2.1, 127.0.0.2",
    "x-forwarded-host": host,
    "x-forwarded-proto": "https",
  });
  expect(seen[0]?.headers.connection).not.toBe("close");
  expect(seen.map(({ version }) => version)).toEqual(["1.1", "1.1"]);
  expect(seen[1]?.port).toBe(seen[0]?.port);
});
