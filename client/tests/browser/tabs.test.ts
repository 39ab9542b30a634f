/** Tabs of one browser share a connection. */
import { beforeEach, describe, expect, test } from "vitest";
import { Publisher } from "../publisher.js";
import { Server } from "../server.js";
import { browserForFile, type Profile } from "./browser.js";
import type { Setup } from "./recorder.js";
import { numbers, type Tab } from "./tab.js";

/** Until another tab leads, in milliseconds. */
const HANDOVER = 2_000;

const ALICE: Setup = { userId: "alice", shareConnection: true };

const browser = browserForFile();
let server: Server;

beforeEach(async ({ onTestFinished }) => {
  // Connections are counted, so each test has a server of its own.
  server = await Server.start();
  onTestFinished(() => server.stop());
});

/** So many connected tabs, the first of which leads. */
async function tabsOf(profile: Profile, count: number): Promise<[Tab, ...Tab[]]> {
  const first = await (await profile.open(server.url)).connect(ALICE);
  const others: Tab[] = [];
  while (others.length < count - 1) {
    others.push(await (await profile.open(server.url)).connect(ALICE));
  }
  expect(await first.status()).toMatchObject({ role: "leader" });
  for (const tab of others) expect(await tab.status()).toMatchObject({ role: "follower" });
  return [first, ...others];
}

const seen = (tab: Tab) => tab.page.evaluate(() => recorded.events.length);

/** How late the latest event came, in milliseconds. */
async function latest(tab: Tab): Promise<number> {
  const { events } = await tab.recorded();
  return Math.max(...events.map(({ at, timestamp }) => at - timestamp));
}

test("twelve tabs of one user are one connection, and each gets every event once, in order", async () => {
  const tabs = await tabsOf(await browser.profile(), 12);
  expect(await server.connections()).toBe(1);
  const publisher = new Publisher(server, 20);
  await expect.poll(() => publisher.published).toBeGreaterThanOrEqual(100);
  expect(await server.connections()).toBe(1);
  const count = await publisher.stop();
  for (const tab of tabs) await tab.sees(numbers(1, count));
  expect(tabs.map((tab) => tab.asked("/api/sse"))).toEqual([1, ...Array(11).fill(0)]);
});

describe("events go on in the other tabs within two seconds, without loss, when the tab that leads", () => {
  const ways: Record<string, (leader: Tab) => Promise<void>> = {
    "is closed": (leader) => leader.page.close(),
    crashes: (leader) => leader.crash(),
    "is frozen": (leader) => leader.freeze(true),
    "calls disconnect": (leader) => leader.order("disconnect"),
    "goes to another page": async (leader) => {
      leader.profile.expects(/status of 404/);
      await leader.page.goto(`${server.url}/livez`);
    },
  };

  test.each(Object.keys(ways))("%s", async (way) => {
    const frozen = way === "is frozen";
    const profile = await (frozen ? browser.natural() : browser.profile());
    const [leader, ...others] = await tabsOf(profile, 4);
    // So many that some are published before the others can know.
    const publisher = new Publisher(server, 5);
    for (const tab of others) await expect.poll(() => seen(tab)).toBeGreaterThan(20);
    await ways[way]?.(leader);
    const before = publisher.published;
    for (const tab of others) {
      await expect.poll(() => seen(tab)).toBeGreaterThan(before + 100);
    }
    const roles = await Promise.all(others.map(async (tab) => (await tab.status()).role));
    expect(roles.sort()).toEqual(["follower", "follower", "leader"]);
    await expect.poll(() => server.connections()).toBe(1);
    if (frozen) {
      // It comes back as one of them, and has missed nothing either.
      await leader.freeze(false);
      await leader.until(({ isConnected, role }) => isConnected && role === "follower");
      others.push(leader);
    }
    const count = await publisher.stop();
    for (const tab of others) await tab.sees(numbers(1, count));
    for (const tab of others) {
      if (tab !== leader) expect(await latest(tab)).toBeLessThan(HANDOVER);
    }
  });
});

test("another user in the same browser has a connection of its own, and sees nothing of the first", async () => {
  const profile = await browser.profile();
  const alices = await tabsOf(profile, 2);
  const bob = await (await profile.open(server.url)).connect({ ...ALICE, userId: "bob" });
  expect(await bob.status()).toMatchObject({ role: "leader" });
  expect(await server.connections()).toBe(2);
  await server.publish(numbers(1, 10), { metadata: { userIds: ["alice"] } });
  await server.publish(numbers(11, 20), { metadata: { userIds: ["bob"] } });
  await server.publish([21]);
  for (const alice of alices) await alice.sees([...numbers(1, 10), 21]);
  await bob.sees(numbers(11, 21));
});

test("tabs whose tokens name the same user share, and others do not", async () => {
  const profile = await browser.profile();
  const token = (user: string): Setup => ({
    token: server.token(user, 60),
    shareConnection: true,
  });
  const tabs: Tab[] = [];
  for (const user of ["alice", "alice", "bob"]) {
    tabs.push(await (await profile.open(server.url)).connect(token(user)));
  }
  const roles = await Promise.all(tabs.map(async (tab) => (await tab.status()).role));
  expect(roles).toEqual(["leader", "follower", "leader"]);
  expect(await server.connections()).toBe(2);
  await server.publish([1], { metadata: { userIds: ["alice"] } });
  await server.publish([2]);
  await Promise.all([tabs[0]?.sees([1, 2]), tabs[1]?.sees([1, 2]), tabs[2]?.sees([2])]);
});

test("a tab that joins from an older cursor gets what it missed, then what comes, each once, in order", async () => {
  const profile = await browser.profile();
  const since = await server.cursor();
  await server.publish(numbers(1, 700));
  const [leader] = await tabsOf(profile, 2);
  const publisher = new Publisher(server, 10, 701);
  await expect.poll(() => seen(leader)).toBeGreaterThan(20);
  const tab = await (await profile.open(server.url)).connect({ ...ALICE, since });
  expect(await tab.status()).toMatchObject({ role: "follower" });
  const before = publisher.published;
  await expect.poll(() => publisher.published).toBeGreaterThan(before + 50);
  await tab.sees(numbers(1, await publisher.stop()));
  expect(await server.connections()).toBe(1);
});

test("without an agreement to share each tab has a connection", async () => {
  const profile = await browser.profile();
  for (const count of [1, 2]) {
    const tab = await (await profile.open(server.url)).connect({ userId: "alice" });
    expect(await tab.status()).toMatchObject({ role: "alone" });
    expect(await server.connections()).toBe(count);
  }
});
