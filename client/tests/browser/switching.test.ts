/** From streams to polls and back, while events are published. */
import { afterAll, beforeAll, expect, test } from "vitest";
import { Publisher } from "../publisher.js";
import { Server } from "../server.js";
import { browserForFile } from "./browser.js";
import { random } from "./random.js";
import { numbers } from "./tab.js";

const browser = browserForFile();
let server: Server;

beforeAll(async () => {
  server = await Server.start();
});
afterAll(() => server.stop());

test("through ten switches at random under 50 events a second none is lost, none comes twice, and the order holds", async () => {
  const seed = Number(process.env.SEED ?? Date.now() % 1_000_000);
  console.log(`SEED=${seed}`);
  const draw = random(seed);
  const tab = await browser.open(server.url);
  await tab.connect({ userId: "alice" });
  const publisher = new Publisher(server, 20);
  const orders: string[] = [];
  while (orders.length < 10) {
    const order = draw() < 0.5 ? "forceSSE" : "forcePolling";
    orders.push(order);
    await tab.order(order);
    // Some come before the last one has opened anything, some in the midst of events.
    const until = publisher.published + Math.floor(draw() * 40);
    await expect.poll(() => publisher.published, { interval: 5 }).toBeGreaterThanOrEqual(until);
  }
  await tab.sees(numbers(1, await publisher.stop()));
  console.log(orders.join(" "));
});
