/** Tabs that share a connection, one of them in view. */
import { expect, test } from "vitest";
import { serverForTest } from "../server.js";
import { browserForFile } from "./browser.js";
import type { Setup } from "./recorder.js";
import { numbers, type Tab } from "./tab.js";

const ALICE: Setup = { userId: "alice", shareConnection: true };

// Chromium wakes a page that was hidden for five minutes once a minute; here after a second.
const browser = browserForFile(
  "--enable-features=IntensiveWakeUpThrottling:grace_period_seconds/1",
);

/** Waits until timers of that page hardly run. */
async function drowsy({ page }: Tab): Promise<void> {
  const ticked = await page.evaluateHandle(() => {
    const last = { at: Date.now() };
    const tick = () => {
      last.at = Date.now();
      setTimeout(tick, 100);
    };
    tick();
    return last;
  });
  await expect
    .poll(() => ticked.evaluate(({ at }) => Date.now() - at), { timeout: 30_000 })
    .toBeGreaterThan(3_000);
}

test("a tab in view is connected soon after the server is back, although a hidden one leads, whose timers hardly run", async () => {
  const killed = await serverForTest();
  const profile = await browser.natural();
  profile.expects(/ERR_/);
  const leader = await (await profile.open(killed.url)).connect(ALICE);
  const seen = await (await profile.open(killed.url)).connect(ALICE);
  expect(await leader.page.evaluate(() => document.visibilityState)).toBe("hidden");
  expect(await leader.status()).toMatchObject({ role: "leader" });
  await killed.publish([1]);
  await seen.sees([1]);
  await drowsy(leader);

  await killed.stop("SIGKILL");
  await seen.until(({ isConnected }) => !isConnected);
  const server = await serverForTest({ port: killed.port });
  const back = Date.now();
  await seen.until(({ isConnected }) => isConnected, 20_000);
  expect(Date.now() - back).toBeLessThan(10_000);
  await server.publish(numbers(2, 5));
  for (const tab of [leader, seen]) {
    await expect.poll(async () => (await tab.recorded()).events.length).toBe(5);
    expect((await tab.recorded()).gaps).toHaveLength(1);
  }
  expect(await server.connections()).toBe(1);
});
