/** The debugger in a page, and what a test does with it. */
import axe from "axe-core";
import type { Locator, Page } from "playwright-core";
import { expect } from "vitest";
import type { Profile } from "./browser.js";

export const PANELS = ["connection", "send", "events", "health", "clients", "log"] as const;
export type Panel = (typeof PANELS)[number];

export class Debugger {
  /** What the page wrote as an error, did not catch, or was forbidden by its policy. */
  readonly complaints: string[] = [];

  private constructor(readonly page: Page) {
    page.on("pageerror", (error) => this.complaints.push(String(error)));
    page.on("console", (message) => {
      if (["error", "warning"].includes(message.type())) this.complaints.push(message.text());
    });
  }

  /** Opens it at a panel. */
  static async open(profile: Profile, origin: string, panel: Panel = "connection") {
    const opened = new Debugger(await profile.context.newPage());
    await opened.page.addInitScript(() => {
      document.addEventListener("securitypolicyviolation", ({ violatedDirective, blockedURI }) =>
        console.error(`policy: ${violatedDirective} ${blockedURI}`),
      );
    });
    await opened.page.goto(`${origin}/debug/sse#${panel}`);
    await opened.page.getByRole("navigation").waitFor();
    return opened;
  }

  async show(panel: Panel): Promise<void> {
    await this.page.getByRole("link", { name: new RegExp(`^${panel}`, "i") }).click();
    await expect.poll(() => this.page.title()).toMatch(new RegExp(`^${panel}`, "i"));
  }

  /** A card, or whatever else has that name. */
  region(name: string): Locator {
    return this.page.getByRole("region", { name, exact: true });
  }

  button(name: string): Locator {
    return this.page.getByRole("button", { name, exact: true });
  }

  field(name: string | RegExp): Locator {
    return this.page.getByRole("textbox", { name });
  }

  /** What is said beside a name. */
  fact(name: string): Promise<string> {
    const fact = this.page.locator(".facts > div:visible", {
      has: this.page.locator("dt", { hasText: new RegExp(`^${name}$`) }),
    });
    return text(fact.locator("dd"));
  }

  /** Waits until it says so. */
  async says(name: string, value: string | RegExp, timeout = 15_000): Promise<void> {
    await expect.poll(() => this.fact(name), { timeout }).toMatch(value);
  }

  /** Connects in development mode. */
  async connect(user: string, { roles = "", transport = "Automatic" } = {}): Promise<void> {
    await this.show("connection");
    await this.field("User id").fill(user);
    await this.field(/^Roles/).fill(roles);
    await this.page.getByRole("radio", { name: transport }).check();
    await this.page.getByRole("button", { name: /^Connect( anew)?$/ }).click();
    await this.says("State", new RegExp(`^Connected as ${user}`));
  }

  /** Sends what is drafted to somebody; returns the answer that is shown for it. */
  async send(target: "User" | "Role" | "Everyone", value = ""): Promise<Locator> {
    await this.show("send");
    const before = await this.answers.count();
    await this.page.getByRole("radio", { name: target }).check();
    if (target !== "Everyone") {
      await this.field(target === "User" ? "User id" : "Role").fill(value);
    }
    await this.button("Send").click();
    await expect.poll(() => this.answers.count()).toBe(Math.min(8, before + 1));
    return this.answers.first();
  }

  get answers(): Locator {
    return this.region("Answers").getByRole("listitem");
  }

  /** The rows of events that are there to be seen. */
  get rows(): Locator {
    return this.page.locator(".grid-body [role=row]:not([hidden])");
  }

  /** How many events are shown, of those that came. */
  summary(): Promise<string> {
    return text(this.page.locator(".panel:not([hidden]) .summary").first());
  }

  /** What axe finds wrong with the page as it is now. */
  async violations(): Promise<string[]> {
    await this.page.evaluate(axe.source);
    return await this.page.evaluate(async () => {
      const { violations } = await (globalThis as unknown as { axe: typeof axe }).axe.run();
      return violations.flatMap(({ id, nodes }) =>
        nodes.map(({ html, failureSummary }) => `${id}: ${html}\n${failureSummary}`),
      );
    });
  }

  /** By how many pixels it is wider than the window. */
  overflow(): Promise<number> {
    return this.page.evaluate(() => document.documentElement.scrollWidth - innerWidth);
  }
}

/** All that is written in an element. */
export async function text(locator: Locator): Promise<string> {
  return (await locator.textContent()) ?? "";
}
