/** A page with a client under test in it, and what the test asks of it. */
import type { CDPSession, Page } from "playwright-core";
import { expect, vi } from "vitest";
import type { Status } from "../../src/index.js";
import type { Profile } from "./browser.js";
import type { Modules } from "./modules.js";
import type { Order, Recorded, Setup } from "./recorder.js";

const BLANK = `<!doctype html><meta charset="utf-8"><title>Blank</title>
<link rel="icon" href="data:,"><script type="module" src="/recorder.js"></script>`;

export class Tab {
  /** What the page wrote as an error, or did not catch. */
  readonly complaints: string[] = [];
  /** Paths of what it asked for. */
  readonly requests: string[] = [];

  constructor(
    readonly profile: Profile,
    readonly page: Page,
  ) {
    page.on("pageerror", (error) => this.complaints.push(String(error)));
    page.on("console", (message) => {
      if (message.type() === "error") this.complaints.push(message.text());
    });
    page.on("request", (request) => this.requests.push(new URL(request.url()).pathname));
  }

  /** Loads an empty page of that origin, with the modules. */
  async load(origin: string, { client, recorder }: Modules): Promise<void> {
    const files = {
      "/blank": { contentType: "text/html", body: BLANK },
      "/recorder.js": { contentType: "text/javascript", body: recorder },
      "/tidewire.js": { contentType: "text/javascript", body: client },
    };
    for (const [path, file] of Object.entries(files)) {
      await this.page.route(origin + path, (route) => route.fulfill(file));
    }
    await this.page.goto(`${origin}/blank`);
    await this.page.waitForFunction(() => "record" in globalThis);
    // From here on nothing stands between the page and the network.
    await this.page.unrouteAll();
    this.requests.length = 0;
  }

  /** Makes a client and has it begin. */
  async start(setup: Setup, order: Order = "connect"): Promise<this> {
    await this.page.evaluate((setup) => record(setup), setup);
    await this.order(order);
    return this;
  }

  /** The same, and waits until it is connected. */
  async connect(setup: Setup, order: Order = "connect"): Promise<this> {
    await this.start(setup, order);
    await this.until(({ isConnected }) => isConnected);
    return this;
  }

  /** Calls one of the client's methods. */
  async order(order: Order): Promise<void> {
    await this.page.evaluate((order) => client[order](), order);
  }

  status(): Promise<Status> {
    return this.page.evaluate(() => client.getStatus());
  }

  cursor(): Promise<string | null> {
    return this.page.evaluate(() => client.cursor);
  }

  recorded(): Promise<Recorded> {
    return this.page.evaluate(() => recorded);
  }

  /** Waits until the status is as it should be, at most so many milliseconds. */
  async until(condition: (status: Status) => boolean, timeout = 15_000): Promise<void> {
    await vi.waitFor(async () => expect(await this.status()).toSatisfy(condition), {
      timeout,
      interval: 50,
    });
  }

  /** Waits until so many events came; they are these, in this order, each once, without a gap. */
  async sees(expected: readonly number[], timeout = 20_000): Promise<void> {
    await vi.waitFor(
      async () => {
        const count = await this.page.evaluate(() => recorded.events.length);
        expect(count).toBeGreaterThanOrEqual(expected.length);
      },
      { timeout, interval: 50 },
    );
    const { events, gaps } = await this.recorded();
    expect(events.map(({ n }) => n)).toEqual(expected);
    expect(new Set(events.map(({ id }) => id)).size).toBe(events.length);
    expect(gaps).toEqual([]);
  }

  /** How often it has asked for that path. */
  asked(path: string): number {
    return this.requests.filter((requested) => requested === path).length;
  }

  /** Freezes the page, as Chromium does with pages that are not seen, or lets it go on. Only in
   *  a natural profile. */
  async freeze(frozen: boolean): Promise<void> {
    const devtools = await this.devtools();
    await devtools.send("Page.setWebLifecycleState", { state: frozen ? "frozen" : "active" });
    await devtools.detach();
  }

  /** Kills the process that the page runs in; other pages are not to be of the same. */
  async crash(): Promise<void> {
    const crashed = this.page.waitForEvent("crash");
    // It has nobody left to answer.
    (await this.devtools()).send("Page.crash").catch(() => {});
    await crashed;
  }

  /** Chromium's own protocol, for what Playwright cannot ask for. */
  devtools(): Promise<CDPSession> {
    return this.profile.context.newCDPSession(this.page);
  }
}

/** The numbers from `first` to `last`. */
export function numbers(first: number, last: number): number[] {
  return Array.from({ length: last - first + 1 }, (_, index) => first + index);
}
