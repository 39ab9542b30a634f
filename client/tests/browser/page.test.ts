/** The page loses its network, is frozen, is left and come back to. */
import { afterAll, beforeAll, expect, test } from "vitest";
import { Publisher } from "../publisher.js";
import { Server } from "../server.js";
import { browserForFile } from "./browser.js";
import { numbers, type Tab } from "./tab.js";

const browser = browserForFile();
let server: Server;

beforeAll(async () => {
  server = await Server.start();
});
afterAll(() => server.stop());

const happened = async (tab: Tab) => (await tab.recorded()).page.map(({ type }) => type);

/** Waits until the server has no connection, and so many events more were published then. */
async function goneFor(events: number, publisher: Publisher): Promise<void> {
  await expect.poll(() => server.connections()).toBe(0);
  const before = publisher.published;
  await expect.poll(() => publisher.published).toBeGreaterThan(before + events);
}

test("a page that was offline gets what it missed, within two seconds of being online", async () => {
  const tab = await browser.open(server.url);
  tab.profile.expects(/ERR_INTERNET_DISCONNECTED/);
  await tab.connect({ userId: "alice" });
  const publisher = new Publisher(server, 20);
  await tab.page.waitForFunction(() => recorded.events.length >= 20);
  await tab.profile.context.setOffline(true);
  await tab.until(({ connectionStatus }) => connectionStatus === "offline");
  await goneFor(50, publisher);
  await tab.profile.context.setOffline(false);
  await tab.until(({ isConnected }) => isConnected, 2_000);
  await tab.sees(numbers(1, await publisher.stop()));
  expect(await happened(tab)).toEqual(expect.arrayContaining(["offline", "online"]));
  expect((await tab.recorded()).errors).toEqual([]);
});

test("a page that was frozen goes on from its cursor", async () => {
  const tab = await (await browser.natural()).open(server.url);
  await tab.connect({ userId: "alice" });
  const publisher = new Publisher(server, 20);
  await tab.page.waitForFunction(() => recorded.events.length >= 20);
  await tab.freeze(true);
  await goneFor(50, publisher);
  expect(await happened(tab)).toContain("freeze");
  expect(await tab.status()).toMatchObject({ connectionStatus: "offline", isConnected: false });
  await tab.freeze(false);
  await tab.until(({ isConnected }) => isConnected);
  await tab.sees(numbers(1, await publisher.stop()));
  const { streams, errors } = await tab.recorded();
  expect(streams).toHaveLength(2);
  expect(errors).toEqual([]);
});

test("a page that was left, kept, and come back to goes on from its cursor", async () => {
  const tab = await browser.open(server.url);
  // The icon of the other page.
  tab.profile.expects(/status of 404/);
  await tab.connect({ userId: "alice" });
  const publisher = new Publisher(server, 20);
  await tab.page.waitForFunction(() => recorded.events.length >= 20);
  await tab.page.goto(`${server.url}/livez`);
  await goneFor(50, publisher);
  // It is not loaded again, so there is no `load` to wait for.
  await tab.page.goBack({ waitUntil: "commit" });
  await tab.page.waitForFunction(() => "recorded" in globalThis);
  expect(await happened(tab)).toEqual(expect.arrayContaining(["pagehide kept", "pageshow kept"]));
  await tab.until(({ isConnected }) => isConnected);
  await tab.sees(numbers(1, await publisher.stop()));
  expect((await tab.recorded()).errors).toEqual([]);
});
