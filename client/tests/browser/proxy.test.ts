/** A proxy between page and server holds streams back. */
import { afterAll, beforeAll, expect, test } from "vitest";
import { Publisher } from "../publisher.js";
import { Server } from "../server.js";
import { browserForFile } from "./browser.js";
import { ReverseProxy } from "./proxy.js";
import { numbers } from "./tab.js";

const OPEN_TIMEOUT = 10_000;

const browser = browserForFile();
let server: Server;
let proxy: ReverseProxy;

beforeAll(async () => {
  server = await Server.start();
  proxy = await ReverseProxy.start(server.url);
});
afterAll(async () => {
  await proxy.stop();
  await server.stop();
});

test("behind a proxy that buffers streams a page polls after openTimeout, and streams again when it is healed: nothing lost, nothing twice", async () => {
  proxy.buffering = true;
  const tab = await browser.open(proxy.url);
  const since = await server.cursor();
  const begun = Date.now();
  await tab.start({ userId: "alice", since });
  const publisher = new Publisher(server, 50);
  await tab.until((status) => status.isConnected, OPEN_TIMEOUT + 5_000);
  const { statuses } = await tab.recorded();
  const polling = statuses.find((status) => status.isConnected);
  expect(polling).toMatchObject({ activeMethod: "polling", reason: "OPEN_TIMEOUT" });
  expect(Number(polling?.at) - begun).toBeGreaterThan(OPEN_TIMEOUT - 500);
  expect(Number(polling?.at) - begun).toBeLessThan(OPEN_TIMEOUT + 2_000);
  expect(statuses.find(({ error }) => error !== null)?.error).toMatchObject({
    code: "OPEN_TIMEOUT",
  });

  proxy.buffering = false;
  // So polls go on while the stream opens, and it brings again what they have brought.
  proxy.lag = 1_000;
  const healed = Date.now();
  await tab.until(({ activeMethod }) => activeMethod === "sse", 60_000);
  expect(Date.now() - healed).toBeLessThan(60_000);
  const { length } = (await tab.recorded()).events;
  await expect.poll(async () => (await tab.recorded()).events.length).toBeGreaterThan(length + 20);
  await tab.sees(numbers(1, await publisher.stop()));
  expect(await tab.status()).toMatchObject({ activeMethod: "sse", error: null });
}, 90_000);

test("a stream that has worked and is then held back for ever is replaced, and nothing is lost", async () => {
  const tab = await browser.open(proxy.url);
  proxy.buffering = false;
  proxy.lag = 0;
  await tab.connect({ userId: "alice", openTimeout: 2_000 });
  const publisher = new Publisher(server, 50);
  await tab.page.waitForFunction(() => recorded.events.length >= 20);
  const { silenced } = proxy;
  proxy.buffering = true;
  await expect.poll(() => proxy.silenced).toBeGreaterThan(silenced);
  await tab.until(({ activeMethod }) => activeMethod === "polling", 30_000);
  await tab.until(({ isConnected }) => isConnected);
  await tab.sees(numbers(1, await publisher.stop()));
  const { statuses } = await tab.recorded();
  expect(statuses.map(({ reason }) => reason)).toContain("MUTE");
});
