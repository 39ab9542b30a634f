/** The server dies, and comes back. */
import { expect, onTestFinished, test } from "vitest";
import { Publisher } from "../publisher.js";
import { serverForTest } from "../server.js";
import { browserForFile } from "./browser.js";
import { Redis } from "./redis.js";
import { numbers } from "./tab.js";

/** What Chromium says of a connection that a killed server leaves. */
const GONE = /ERR_CONNECTION_REFUSED|ERR_CONNECTION_RESET|ERR_INCOMPLETE_CHUNKED_ENCODING/;

const browser = browserForFile();

test("after kill -9 of its server a page gets what the Redis log holds, without loss, in order, without a gap", async () => {
  const redis = await Redis.start();
  onTestFinished(() => redis.stop());
  const other = await serverForTest({ log: redis.url });
  const killed = await serverForTest({ log: redis.url });
  const tab = await browser.open(killed.url);
  tab.profile.expects(GONE);
  // However long the server takes to start.
  await tab.connect({ userId: "alice", maxReconnectAttempts: 100 });
  const publisher = new Publisher(other, 20);
  await tab.page.waitForFunction(() => recorded.events.length >= 20);
  const before = publisher.published;
  await killed.stop("SIGKILL");
  await tab.until(({ isConnected }) => !isConnected);
  await expect.poll(() => publisher.published).toBeGreaterThan(before + 20);
  await serverForTest({ port: killed.port, log: redis.url });
  await tab.until(({ isConnected }) => isConnected);
  await tab.sees(numbers(1, await publisher.stop()));
  expect((await tab.recorded()).streams).toHaveLength(2);
  expect(tab.asked("/api/realtime/polling")).toBe(0);
});

test("after kill -9 of a server with its log in memory a page is told so by one gap, and goes on", async () => {
  const killed = await serverForTest();
  const tab = await browser.open(killed.url);
  tab.profile.expects(GONE);
  await tab.connect({ userId: "alice" });
  await killed.publish([1, 2]);
  await tab.sees([1, 2]);
  await killed.stop("SIGKILL");
  await tab.until(({ isConnected }) => !isConnected);
  const server = await serverForTest({ port: killed.port });
  // What the new log holds when the page comes back is not missed.
  await server.publish([3, 4]);
  await tab.until(({ isConnected }) => isConnected);
  await server.publish([5, 6]);
  await tab.page.waitForFunction(() => recorded.events.length >= 6);
  const { events, gaps } = await tab.recorded();
  expect(gaps).toEqual([expect.objectContaining({ reason: "epoch" })]);
  expect(events.map(({ n }) => n)).toEqual([1, 2, 3, 4, 5, 6]);
});
