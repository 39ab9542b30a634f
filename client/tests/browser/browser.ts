/** A real Chromium, for the tests of one file. */
import { type BrowserContext, chromium, type Browser as Process } from "playwright-core";
import { afterAll, afterEach, beforeAll, inject } from "vitest";
import { freePort } from "./port.js";
import { Tab } from "./tab.js";

const COMMAND = process.env.CHROMIUM ?? "/usr/bin/chromium";

export interface Browser {
  /** Cookies, storage and tabs of one visitor, gone after the test. */
  profile(): Promise<Profile>;
  /**
   * The profile that Chromium begins with, where the newest tab hides the others, and those can be
   * frozen. In all others Playwright has every page believe that it is seen.
   */
  natural(): Promise<Profile>;
  /** A tab of a visitor of its own: an empty page of that origin. */
  open(origin: string): Promise<Tab>;
}

/**
 * Starts Chromium before the tests of a file and ends it after them. Every test fails on an error
 * that a page did not catch or wrote to its console, unless its profile `expects` it.
 */
export function browserForFile(...flags: string[]): Browser {
  let process: Process;
  let port: number;
  const profiles: Profile[] = [];
  beforeAll(async () => {
    port = await freePort();
    process = await chromium.launch({
      executablePath: COMMAND,
      // As root it starts in no other way.
      args: ["--no-sandbox", ...flags, `--remote-debugging-port=${port}`],
      // As people have it, it keeps pages for going back to, and slows those that are hidden.
      ignoreDefaultArgs: [
        "--disable-back-forward-cache",
        "--disable-background-timer-throttling",
        "--disable-backgrounding-occluded-windows",
        "--disable-renderer-backgrounding",
      ],
    });
  });
  afterEach(async () => {
    const complaints: string[] = [];
    for (const profile of profiles.splice(0)) complaints.push(...(await profile.close()));
    if (complaints.length > 0) throw new Error(`Pages complained:\n${complaints.join("\n")}`);
  });
  afterAll(() => process.close());
  const keep = (context: BrowserContext) => {
    const profile = new Profile(context);
    profiles.push(profile);
    return profile;
  };
  // What it loads comes with a certificate that vouches for itself.
  const profile = async () => keep(await process.newContext({ ignoreHTTPSErrors: true }));
  const natural = async () => {
    const url = `http://127.0.0.1:${port}`;
    const connection = await chromium.connectOverCDP(url, { noDefaults: true });
    const [context] = connection.contexts();
    if (context === undefined) throw new Error("Chromium has no profile of its own.");
    return keep(context);
  };
  return { profile, natural, open: async (origin) => (await profile()).open(origin) };
}

export class Profile {
  readonly context: BrowserContext;
  readonly #tabs: Tab[] = [];
  readonly #expected: RegExp[] = [];

  constructor(context: BrowserContext) {
    this.context = context;
  }

  /** Opens an empty page of that origin; `Tab.start` starts a client in it. */
  async open(origin: string): Promise<Tab> {
    const tab = new Tab(this, await this.context.newPage());
    this.#tabs.push(tab);
    await tab.load(origin, inject("modules"));
    return tab;
  }

  /** Complaints of pages that are no fault in this test. */
  expects(...complaints: RegExp[]): void {
    this.#expected.push(...complaints);
  }

  /** Answers clients that ask the test for tokens. */
  async answersTokens(next: () => string | Promise<string>): Promise<void> {
    await this.context.exposeFunction("nextToken", next);
  }

  /** Closes the tabs, and returns what was not to be complained of. */
  async close(): Promise<string[]> {
    // A natural one is as old as Chromium, and does not close.
    for (const { page } of this.#tabs) await page.close();
    await this.context.close();
    return this.#tabs
      .flatMap((tab) => tab.complaints)
      .filter((complaint) => !this.#expected.some((expected) => expected.test(complaint)));
  }
}
