/** Tokens that run out, with a server in production mode. */
import { afterAll, beforeAll, expect, test } from "vitest";
import { Publisher } from "../publisher.js";
import { Server } from "../server.js";
import { browserForFile } from "./browser.js";
import { numbers } from "./tab.js";

const REFUSED = /status of 401/;

const browser = browserForFile();
let server: Server;

beforeAll(async () => {
  server = await Server.start({ dev: false });
});
afterAll(() => server.stop());

test("a stream outlives three tokens, each renewed in time, and stays the same stream", async () => {
  const tab = await browser.open(server.url);
  let tokens = 0;
  await tab.profile.answersTokens(() => {
    tokens += 1;
    return server.token("alice", 4);
  });
  await tab.connect({ tokens: true });
  const publisher = new Publisher(server, 50);
  await expect.poll(() => tokens).toBeGreaterThan(4);
  await tab.sees(numbers(1, await publisher.stop()));
  const { streams, errors } = await tab.recorded();
  expect(streams).toHaveLength(1);
  expect(errors).toEqual([]);
  expect(tab.asked("/api/sse")).toBe(1);
});

test("a new token that comes too late costs a new stream, and no event", async () => {
  const tab = await browser.open(server.url);
  tab.profile.expects(REFUSED);
  let tokens = 0;
  await tab.profile.answersTokens(async () => {
    tokens += 1;
    if (tokens === 1) return server.token("alice", 3);
    await expect.poll(() => server.connections()).toBe(0);
    const before = publisher.published;
    await expect.poll(() => publisher.published).toBeGreaterThan(before + 10);
    return server.token("alice", 60);
  });
  await tab.connect({ tokens: true });
  const publisher = new Publisher(server, 50);
  await tab.page.waitForFunction(() => recorded.streams.length === 2);
  await tab.sees(numbers(1, await publisher.stop()));
  expect((await tab.recorded()).errors.every(({ fatal }) => !fatal)).toBe(true);
});

test("a token that ends in mid-stream and a new one that is refused stop the client after one refresh, with an AuthenticationError", async () => {
  const tab = await browser.open(server.url);
  tab.profile.expects(REFUSED);
  let tokens = 0;
  await tab.profile.answersTokens(() => {
    tokens += 1;
    return tokens === 1 ? server.token("alice", 4) : "refused";
  });
  await tab.connect({ tokens: true });
  await server.publish([1]);
  await tab.until(({ connectionStatus }) => connectionStatus === "stopped");
  await tab.sees([1]);
  const { errors, streams } = await tab.recorded();
  expect(errors.at(-1)).toMatchObject({ name: "AuthenticationError", fatal: true });
  expect(errors.filter(({ fatal }) => fatal)).toHaveLength(1);
  expect(streams).toHaveLength(1);
  // The first, the one for which `authExpiring` asked, and the refresh.
  expect(tokens).toBe(3);
});
