/** The debugger of the server, in a browser. */
import { execFileSync } from "node:child_process";
import { mkdtemp, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test } from "vitest";
import { COMMAND, Server } from "../server.js";
import { browserForFile, type Profile } from "./browser.js";
import { Debugger, PANELS, type Panel, text } from "./debugger.js";

const browser = browserForFile();
let server: Server;
let profile: Profile;
const opened: Debugger[] = [];
let expected: RegExp[] = [];

beforeAll(async () => {
  server = await Server.start();
});
afterAll(() => server.stop());
beforeEach(async () => {
  profile = await browser.profile();
  expected = [];
});
afterEach(() => {
  const complaints = opened.splice(0).flatMap((one) => one.complaints);
  const unexpected = complaints.filter((text) => !expected.some((known) => known.test(text)));
  expect(unexpected).toEqual([]);
});

async function open(panel: Panel = "connection", origin = server.url): Promise<Debugger> {
  const one = await Debugger.open(profile, origin, panel);
  opened.push(one);
  return one;
}

/** Publishes so many events, each with its number. */
async function burst(count: number): Promise<void> {
  for (let first = 1; first <= count; first += 500) {
    const length = Math.min(500, count - first + 1);
    await server.publish(Array.from({ length }, (_, index) => first + index));
  }
}

describe("connection", () => {
  test("it connects by a stream and says how that stands", async () => {
    const page = await open();
    await page.says("State", /^Disconnected$/);
    await page.connect("alice");
    await page.says("Method", /^Stream$/);
    await page.says("Client id", /^[\da-f]{32}$/);
    await page.says("Last ping", /^\d+ s ago, number \d+$/);
    await page.says("Version", /^\d+\.\d+\.\d+/);
    await page.says("Known as", /development/);
    await page.button("Disconnect").click();
    await page.says("State", /^Disconnected$/);
    await expect.poll(() => server.connections()).toBe(0);
  });

  test("the transport is switched while events go on, and the row says by which one each came", async () => {
    const page = await open();
    await page.connect("alice");
    await page.button("Force polling").click();
    await page.says("Method", /^Long polling$/);
    await server.publish([1]);
    await page.show("events");
    await expect.poll(() => page.rows.count()).toBe(1);
    await page.show("connection");
    await page.button("Force stream").click();
    await page.says("Method", /^Stream$/);
    await server.publish([2]);
    await page.show("events");
    await expect.poll(() => page.rows.count()).toBe(2);
    const via = await page.rows.locator(".c-via").allTextContents();
    expect(via.sort()).toEqual(["long poll", "stream"]);
  });

  test("polling that was chosen opens no stream", async () => {
    const page = await open();
    const paths: string[] = [];
    page.page.on("request", (request) => paths.push(new URL(request.url()).pathname));
    await page.connect("alice", { transport: "Polling" });
    await page.says("Method", /^Long polling$/);
    await page.says("Last ping", /^Polls have none$/);
    expect(paths).not.toContain("/api/sse");
  });

  test("who connects again gets what came meanwhile, and with other settings begins anew", async () => {
    const page = await open();
    await page.connect("alice");
    await page.button("Disconnect").click();
    await page.says("State", /^Disconnected$/);
    await server.publish([1, 2, 3]);
    await page.button("Connect").click();
    await page.says("Resumed", /^Yes/);
    await page.show("events");
    await expect.poll(() => page.rows.count()).toBe(3);
    await page.connect("bob");
    await page.says("Resumed", /^No/);
  });

  test("a gap is shown with its reason", async () => {
    const page = await open();
    await page.page.getByRole("combobox", { name: "Start from" }).selectOption("A cursor");
    await page.field("Cursor").fill("1764000000000-42-zzzz");
    await page.connect("alice");
    await expect.poll(() => text(page.region("Gaps"))).toMatch(/epoch/);
  });

  test("what is missing is said at its field, which gets the focus", async () => {
    const page = await open();
    await page.field("User id").fill("");
    await page.button("Connect").click();
    const field = page.field("User id");
    expect(await field.getAttribute("aria-invalid")).toBe("true");
    expect(await field.evaluate((element) => element === document.activeElement)).toBe(true);
  });
});

describe("send", () => {
  test("what is for the user, a role of theirs or everyone arrives, and what is for others does not", async () => {
    const page = await open();
    await page.connect("alice", { roles: "EDITOR" });
    const arrives = async (target: "User" | "Role" | "Everyone", value?: string) => {
      const answer = await page.send(target, value);
      await expect.poll(() => text(answer)).toContain("Arrived here");
    };
    await arrives("User", "alice");
    await arrives("User", "");
    await arrives("Role", "EDITOR");
    await arrives("Everyone");
    const others = [await page.send("User", "bob")];
    others.push(await page.send("Role", "CHIEF"));
    // What came later has come, so what was before it does not come any more.
    await arrives("Everyone");
    const told = await page.answers.allTextContents();
    expect(told.map((text) => /Arrived here|Not here/.exec(text)?.[0])).toEqual([
      "Arrived here",
      "Not here",
      "Not here",
      ...Array(4).fill("Arrived here"),
    ]);
    expect(told[1]).toContain("to role CHIEF");
    expect(told[2]).toContain("to user bob");
  });

  test("a type that nearly is a known one is hinted at", async () => {
    const page = await open("send");
    await page.page.getByRole("combobox", { name: "Type" }).fill("system-alert");
    const answer = await page.send("Everyone");
    await expect.poll(() => text(answer)).toContain("Hint: There is a known type");
  });

  test("a refusal says why", async () => {
    expected = [/status of 422/];
    const page = await open("send");
    await page.page.getByRole("combobox", { name: "Type" }).fill("ping");
    const answer = await page.send("Everyone");
    await expect.poll(() => text(answer)).toMatch(/refused.*reserved/is);
  });

  test("who may not publish is told so, and what to do", async () => {
    expected = [/status of 403/];
    const page = await open("send");
    await page.page.getByRole("checkbox", { name: "Send as an administrator" }).uncheck();
    const answer = await page.send("Everyone");
    await expect.poll(() => text(answer)).toContain("permission 'publish'");
  });

  test("a fault in the JSON is said with line and column as one types, and is gone to", async () => {
    const page = await open("send");
    const payload = page.field("Payload");
    await payload.fill('{\n  "title": "a",\n  "message" "b"\n}');
    const where = page.page.locator(".where");
    await expect.poll(() => text(where)).toMatch(/^Line 3, column 13: A colon is missing/);
    await page.button("Go there").click();
    const at = await payload.evaluate((area: HTMLTextAreaElement) => area.selectionStart);
    expect(at).toBe('{\n  "title": "a",\n  "message" '.length);
    await page.button("Send").click();
    expect(await page.answers.count()).toBe(0);
    await payload.fill('{"a":1}');
    await expect.poll(() => text(where)).toBe("Valid JSON");
    await page.button("Format").click();
    await expect.poll(() => payload.inputValue()).toBe('{\n  "a": 1\n}');
  });

  test("a template fills type, priority and payload, and Ctrl and Enter send it", async () => {
    const page = await open();
    await page.connect("alice");
    await page.show("send");
    await page.button("Begin with systemAlert").click();
    const type = page.page.getByRole("combobox", { name: "Type" });
    await expect.poll(() => type.inputValue()).toBe("systemAlert");
    await page.field("Payload").press("Control+Enter");
    await expect.poll(() => text(page.answers.first())).toContain("Arrived here");
    await page.show("events");
    await expect.poll(() => text(page.rows.first())).toMatch(/systemAlert.*critical/);
  });
});

/** One of its modules that needs no page. */
function moduleOf(name: string) {
  return import(new URL(`../../../src/tidewire/http/debugger/${name}.js`, import.meta.url).href);
}

test("a thousand rows are kept, the last ones, however many come at once", async () => {
  const { noEvents, reduceEvents } = await moduleOf("events");
  const rows = Array.from({ length: 1500 }, (_, n) => ({ n }));
  const received = (events: unknown, from: number, to: number) =>
    reduceEvents(events, { type: "events.received", rows: rows.slice(from, to) });
  for (const parts of [[1500], [900, 1500], [1, 1002, 1500]]) {
    let events = noEvents;
    let paused = reduceEvents(noEvents, { type: "events.paused" });
    let from = 0;
    for (const to of parts) {
      events = received(events, from, to);
      paused = received(paused, from, to);
      from = to;
    }
    expect(events.rows).toEqual(rows.slice(500));
    expect(paused).toMatchObject({ rows: [], waited: 1500 });
    expect(reduceEvents(paused, { type: "events.resumed" }).rows).toEqual(rows.slice(500));
  }
});

describe("its text", () => {
  test("is at fault exactly where the engine refuses it as JSON, with a place within it", async () => {
    const { parse } = await moduleOf("json");
    const valid = String.raw`{"a":[1,-0.5e+3,true,null,"\u00e9\n ü"],"b":{"":{}},"c":[]}`;
    const marks = [..."{}[]\":,\\ 01-+.eE\n\tntü'\u007f\u0001"];
    // Every text that is one cut, one omission or one mark away from a good one.
    const texts = [valid, "", " 1 ", "01", "nul", "[1 2]", '"', "-", "1.", "\ufeff1"];
    for (let at = 0; at < valid.length; at += 1) {
      const [before, after] = [valid.slice(0, at), valid.slice(at)];
      texts.push(before, before + after.slice(1));
      for (const mark of marks) texts.push(before + mark + after, before + mark + after.slice(1));
    }
    const isJson = (text: string) => {
      try {
        JSON.parse(text);
        return true;
      } catch {
        return false;
      }
    };
    const disagreements = texts.filter((text) => {
      const { fault } = parse(text);
      const within = fault === null || (fault.offset >= 0 && fault.offset <= text.length);
      return isJson(text) !== (fault === null) || !within;
    });
    expect(disagreements).toEqual([]);
  });

  test("is without tokens where it is written down, whoever says them", async () => {
    const { redacted } = await moduleOf("identity");
    const jwt = "eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiJhIn0.c2ln";
    expect(redacted("opaque-7 is bad: opaque-7.", " opaque-7 ")).toBe("••• is bad: •••.");
    expect(redacted(`It was ${jwt} before.`, "")).toBe("It was ••• before.");
    expect(redacted("nothing to hide", "")).toBe("nothing to hide");
  });
});

describe("events", () => {
  async function withEvents(): Promise<Debugger> {
    const page = await open();
    await page.connect("alice");
    await server.publish([1, 2], { type: "notification", priority: "high" });
    await server.publish([3, 4, 5], { type: "orderShipped" });
    await page.show("events");
    await expect.poll(() => page.rows.count()).toBe(5);
    return page;
  }

  test("they are filtered by type, by priority, and by what is in them", async () => {
    const page = await withEvents();
    const type = page.page.getByRole("combobox", { name: "Type" });
    await type.selectOption("orderShipped");
    await expect.poll(() => page.rows.count()).toBe(3);
    expect(await page.summary()).toBe("3 shown · 5 events came");
    await page.page.getByRole("searchbox", { name: "Search in events" }).fill('"n":4');
    await expect.poll(() => page.rows.count()).toBe(1);
    await type.selectOption("All types");
    await page.page.getByRole("searchbox", { name: "Search in events" }).fill("");
    await page.page.getByRole("combobox", { name: "Priority" }).selectOption("high");
    await expect.poll(() => page.rows.count()).toBe(2);
    await page.page.getByRole("combobox", { name: "Priority" }).selectOption("critical");
    await page.button("Show all").click();
    await expect.poll(() => page.rows.count()).toBe(5);
  });

  test("a pause holds what comes and counts it, and nothing of it is lost", async () => {
    const page = await withEvents();
    await page.button("Pause").click();
    await server.publish([6, 7, 8]);
    const resume = page.button("Resume (3 waiting)");
    await resume.waitFor();
    expect(await page.rows.count()).toBe(5);
    await resume.click();
    await expect.poll(() => page.rows.count()).toBe(8);
    await page.button("Clear").click();
    await expect.poll(() => page.rows.count()).toBe(0);
    await page.page.getByText("No events yet").waitFor();
  });

  test("what is shown is exported as JSON and as JSON lines, oldest first", async () => {
    const page = await withEvents();
    await page.page.getByRole("combobox", { name: "Type" }).selectOption("orderShipped");
    await expect.poll(() => page.rows.count()).toBe(3);
    const save = async (name: string) => {
      const started = page.page.waitForEvent("download");
      await page.button(name).click();
      const file = await started;
      return { name: file.suggestedFilename(), text: await readFile(await file.path(), "utf8") };
    };
    const json = await save("Export as JSON");
    expect(json.name).toMatch(/^events-.+\.json$/);
    const events = JSON.parse(json.text) as { type: string; data: { n: number } }[];
    expect(events.map(({ data }) => data.n)).toEqual([3, 4, 5]);
    expect(events[0]).toHaveProperty("id");
    const lines = await save("Export as JSONL");
    expect(lines.name).toMatch(/\.jsonl$/);
    const parsed = lines.text.trimEnd().split("\n");
    expect(parsed.map((line) => JSON.parse(line))).toEqual(events);
  });

  test("thousands in a burst neither freeze the page nor fill it: a thousand are kept, few are drawn", async () => {
    const page = await open();
    await page.connect("alice");
    await page.show("events");
    await page.page.evaluate(() => {
      const frames = { longest: 0, last: performance.now() };
      Object.assign(globalThis, { frames });
      const next = () => {
        const now = performance.now();
        frames.longest = Math.max(frames.longest, now - frames.last);
        frames.last = now;
        requestAnimationFrame(next);
      };
      requestAnimationFrame(next);
    });
    await burst(3000);
    await expect.poll(() => page.summary()).toBe("3,000 events came, the last 1,000 kept");
    const longest = await page.page.evaluate(
      () => (globalThis as unknown as { frames: { longest: number } }).frames.longest,
    );
    expect(longest).toBeLessThan(400);
    expect(await page.page.locator(".grid-body [role=row]").count()).toBeLessThan(80);
    const grid = page.page.getByRole("grid");
    expect(await grid.getAttribute("aria-rowcount")).toBe("1001");
    // The oldest that is kept is at the end.
    await grid.press("End");
    await expect
      .poll(() => text(page.page.locator('[role=row][aria-selected="true"]')))
      .toContain('{"n":2001}');
  });

  test("what one reads stays where it is while more comes", async () => {
    const page = await open();
    await page.connect("alice");
    await page.show("events");
    await burst(500);
    await expect.poll(() => page.summary()).toBe("500 events came");
    const grid = page.page.getByRole("grid");
    await grid.evaluate((element) => element.scrollTo(0, 3400));
    const row = page.page.getByRole("row").filter({ hasText: '{"n":390}' });
    await row.waitFor();
    const before = await row.boundingBox();
    await server.publish([501, 502, 503]);
    await expect.poll(() => page.summary()).toBe("503 events came");
    expect((await row.boundingBox())?.y).toBe(before?.y);
  });

  test("one is chosen by arrows, opened by Enter and closed by Escape, which leads back", async () => {
    const page = await withEvents();
    const grid = page.page.getByRole("grid");
    await grid.focus();
    await grid.press("ArrowDown");
    await grid.press("ArrowDown");
    const detail = page.page.locator(".detail");
    expect(await detail.isVisible()).toBe(false);
    await grid.press("Enter");
    await detail.waitFor();
    const focused = () => detail.evaluate((element) => element === document.activeElement);
    await expect.poll(focused).toBe(true);
    expect(await text(page.region("Payload"))).toBe('{\n  "n": 4\n}');
    await page.page.keyboard.press("Escape");
    await expect.poll(() => detail.isVisible()).toBe(false);
    expect(await grid.evaluate((element) => element === document.activeElement)).toBe(true);
  });

  test("it is copied", async () => {
    await profile.context.grantPermissions(["clipboard-read", "clipboard-write"]);
    const page = await withEvents();
    await page.rows.first().click();
    await page.button("Copy JSON").click();
    const copied = await page.page.evaluate(() => navigator.clipboard.readText());
    expect(JSON.parse(copied)).toMatchObject({ type: "orderShipped", data: { n: 5 } });
  });
});

test("all that matters is done by the keyboard alone", async () => {
  const page = await open();
  const { keyboard } = page.page;
  const focused = () =>
    page.page.evaluate(() => {
      const { activeElement: element } = document;
      return element?.getAttribute("aria-label") ?? element?.textContent ?? "";
    });
  const tabTo = async (name: string | RegExp) => {
    const seen: string[] = [];
    for (let presses = 0; presses < 60; presses += 1) {
      seen.push(await focused());
      if (new RegExp(name).test(seen.at(-1) ?? "")) return;
      await keyboard.press("Tab");
    }
    throw new Error(`Tab does not lead to ${name}: ${seen}`);
  };
  await tabTo(/^Connect$/);
  await keyboard.press("Enter");
  await page.says("State", /^Connected as alice/);
  // What was pressed does nothing now, and has the focus nevertheless.
  expect(await focused()).toBe("Connected");
  await tabTo(/^Send$/);
  await keyboard.press("Enter");
  await tabTo(/^Begin with notification$/);
  await keyboard.press("Enter");
  await keyboard.press("Control+Enter");
  await expect.poll(() => page.answers.count()).toBe(1);
  await keyboard.press("Home");
  await page.page.evaluate(() => (document.activeElement as HTMLElement).blur());
  await tabTo(/^Events/);
  await keyboard.press("Enter");
  await tabTo(/^Events, newest first$/);
  await keyboard.press("ArrowDown");
  await keyboard.press("Enter");
  await page.page.locator(".detail").waitFor();
  await keyboard.press("Escape");
  await expect.poll(() => page.page.locator(".detail").isVisible()).toBe(false);
});

test("a link opens the panel that it names, and going back leads to the one before", async () => {
  const page = await open("health");
  expect(await page.page.title()).toMatch(/^Health/);
  await page.show("log");
  expect(page.page.url()).toMatch(/#log$/);
  await page.page.goBack();
  await expect.poll(() => page.page.title()).toMatch(/^Health/);
});

test("light and dark are chosen, and remembered", async () => {
  const page = await open();
  const background = () =>
    page.page.evaluate(() => getComputedStyle(document.documentElement).backgroundColor);
  const light = await background();
  await page.page.getByRole("combobox", { name: "Appearance" }).selectOption("Dark");
  await expect.poll(background).not.toBe(light);
  const dark = await background();
  await page.page.reload();
  await page.page.getByRole("navigation").waitFor();
  expect(await background()).toBe(dark);
});

test("the settings of a connection are remembered", async () => {
  const page = await open();
  await page.connect("bob", { roles: "EDITOR" });
  await page.page.reload();
  expect(await page.field("User id").inputValue()).toBe("bob");
  expect(await page.field(/^Roles/).inputValue()).toBe("EDITOR");
});

describe("administration", () => {
  test("a client is sent away, after a question, and stays away", async () => {
    const bob = await open();
    await bob.connect("bob");
    const page = await open("clients");
    await page.page.getByRole("button", { name: /^bob/ }).click();
    await page.button("Disconnect").click();
    await page.button("Cancel").click();
    await bob.says("State", /^Connected as bob/);
    await page.button("Disconnect").click();
    await page.page.getByRole("dialog").getByRole("button", { name: "Disconnect" }).click();
    await bob.says("State", /^Stopped$/);
    await page.page.getByText("The client was told to go").waitFor();
  });

  test("a client is looked at by the keyboard, with what became of it", async () => {
    const page = await open();
    await page.connect("alice");
    await page.show("clients");
    const row = page.page.getByRole("button", { name: /^alice \(this page\)/ });
    await row.press("Enter");
    const detail = page.region("alice");
    const focused = () => detail.evaluate((element) => element === document.activeElement);
    await expect.poll(focused).toBe(true);
    await expect.poll(() => text(detail)).toMatch(/Timeline.*opened/);
    await page.button("Ping").click();
    await page.page.getByText("A ping was written.").waitFor();
    await page.page.keyboard.press("Escape");
    await expect.poll(() => detail.isVisible()).toBe(false);
    expect(await row.evaluate((element) => element === document.activeElement)).toBe(true);
  });

  test("it is said why a user did or did not get an event", async () => {
    const page = await open();
    await page.connect("alice");
    const answer = await page.send("User", "alice");
    await expect.poll(() => text(answer)).toContain("Arrived here");
    await answer.getByRole("button", { name: /^Explain/ }).click();
    const verdict = page.region("Who got it?");
    await expect.poll(() => text(verdict)).toMatch(/Written|Arrived, and confirmed/);
    await page.field("User id").fill("bob");
    await verdict.getByRole("button", { name: "Explain" }).click();
    await expect.poll(() => text(verdict)).toMatch(/Not for this user/);
  });

  test("what the server does not offer, or allow, is said calmly, and the rest works", async () => {
    expected = [/status of 40[34]/];
    const page = await open();
    await page.page.route("**/api/realtime/clients*", (route) =>
      route.fulfill({
        status: 404,
        json: { code: "CLIENT_NOT_FOUND", detail: "There is nothing." },
      }),
    );
    await page.page.route("**/api/sse/health?details=true*", (route) =>
      route.fulfill({
        status: 403,
        json: { code: "AUTH_FORBIDDEN", detail: "This needs a role." },
      }),
    );
    await page.show("clients");
    await page.page.getByText("This server does not offer this.").waitFor();
    await page.show("health");
    await page.page.getByText("This is for administrators.").waitFor();
    await page.says("Connections", /^\d+$/);
    await page.show("log");
    await page.page.getByText(/health → 403/).waitFor();
  });
});

test("who is refused does not ask so often that the server takes no more", async () => {
  const { pauseAfter, troubleOf } = await moduleOf("trouble");
  const refused = troubleOf(401, { code: "AUTH_INVALID_TOKEN", detail: "It is not good." });
  // Of the 30 that an address may get wrong in a minute.
  expect(60_000 / pauseAfter(refused)).toBeLessThan(10);
  expect(pauseAfter(null)).toBeLessThanOrEqual(2_000);
});

describe("outside development mode", () => {
  const SECRET = "of the tests of the debugger and of nobody else";
  let production: Server;

  beforeAll(async () => {
    production = await Server.start({ dev: false, settings: { SSE_JWT_SECRET: SECRET } });
  });
  afterAll(() => production.stop());

  /** A token as the command makes it. */
  function token(user: string, ...roles: string[]): string {
    const words = ["token", "--user", user, ...roles.flatMap((role) => ["--role", role])];
    const env = { ...process.env, SSE_JWT_SECRET: SECRET };
    return execFileSync(COMMAND, words, { env, encoding: "utf8" }).trim();
  }

  test("only administrators get in", async () => {
    const ask = (authorization?: string) =>
      fetch(`${production.url}/debug/sse`, {
        headers: authorization ? { Authorization: `Bearer ${authorization}` } : {},
      });
    // Before anything is asked: while the command runs, nobody notices that the server hangs up.
    const [alice, root] = [token("alice"), token("root", "ADMIN")];
    expect((await ask()).status).toBe(401);
    expect((await ask(alice)).status).toBe(403);
    expect((await ask(root)).status).toBe(200);
  });

  test("a token that is pasted is in no address, storage, log or text of the page", async () => {
    // Who gets in; the browser shows it to the server by itself, as it would a cookie.
    await profile.context.setExtraHTTPHeaders({
      Authorization: `Bearer ${token("root", "ADMIN")}`,
    });
    const page = await open("connection", production.url);
    const given = token("carol", "ADMIN");
    const addresses: string[] = [];
    page.page.on("request", (request) => addresses.push(request.url()));
    expect(await page.page.getByRole("radio", { name: "Any user" }).count()).toBe(0);
    await page.page.getByRole("radio", { name: "Token" }).check();
    await page.field("Token").fill(given);
    await page.page.getByText(/It names carol, roles ADMIN/).waitFor();
    await page.button("Connect").click();
    await page.says("State", /^Connected as carol/);
    await page.show("health");
    await page.says("Connections", /^1$/);
    await page.show("send");
    const answer = await page.send("Everyone");
    await expect.poll(() => text(answer)).toContain("Arrived here");
    await page.show("log");
    const kept = await page.page.evaluate(() => [
      location.href,
      JSON.stringify({ ...localStorage }),
      JSON.stringify({ ...sessionStorage }),
      document.cookie,
      document.documentElement.outerHTML,
    ]);
    for (const text of [...kept, ...addresses]) expect(text).not.toContain(given);
    expect(kept[4]).toContain("Connects as carol");
  });
});

describe("within another application, under a prefix of its own, with that one's sessions", () => {
  const APPLICATION = `
from fastapi import FastAPI
from tidewire import Identity, Tidewire

SESSIONS = {"of-root": Identity("root", roles=frozenset({"ADMIN"})), "of-bob": Identity("bob")}

async def session(request):
    return SESSIONS.get(request.cookies.get("sid", ""))

tidewire = Tidewire(session=session)
app = FastAPI(lifespan=tidewire.lifespan)
app.mount("/live", tidewire.app)
`;
  let folder: string;
  let host: Server;

  beforeAll(async () => {
    folder = await mkdtemp(join(tmpdir(), "tidewire-debugger-"));
    await writeFile(join(folder, "desk.py"), APPLICATION);
    host = await Server.start({ dev: false, app: { folder, name: "desk:app" } });
  });
  afterAll(async () => {
    await host?.stop();
    await rm(folder, { recursive: true });
  });

  const signIn = (sid: string) =>
    profile.context.addCookies([{ name: "sid", value: sid, url: host.url }]);

  test("an administrator gets in, connects, sends, and sees how it is", async () => {
    await signIn("of-root");
    const page = await open("connection", `${host.url}/live`);
    expect(await page.page.getByRole("radio", { name: "Session" }).isChecked()).toBe(true);
    await page.button("Connect").click();
    await page.says("State", /^Connected as the session of this page$/);
    await page.says("Known as", /^A session$/);
    const answer = await page.send("Everyone");
    await expect.poll(() => text(answer)).toContain("Arrived here");
    await page.show("health");
    await page.says("Newest", /^\d+-1-/);
    await page.show("clients");
    await page.page.getByRole("button", { name: /^root \(this page\)/ }).waitFor();
  });

  test("others do not get in", async () => {
    expected = [/status of 40[13]/];
    const page = await profile.context.newPage();
    expect((await page.goto(`${host.url}/live/debug/sse`))?.status()).toBe(401);
    await signIn("of-bob");
    expect((await page.goto(`${host.url}/live/debug/sse`))?.status()).toBe(403);
    await signIn("of-root");
    expect((await page.goto(`${host.url}/live/debug/sse/`))?.url()).toBe(
      `${host.url}/live/debug/sse`,
    );
  });
});

describe("it has no violation of WCAG that axe finds", () => {
  const looks = [
    { scheme: "light", width: 1280 },
    { scheme: "dark", width: 1280 },
    { scheme: "light", width: 360 },
    { scheme: "dark", width: 360 },
  ] as const;

  test.each(looks)("$scheme, $width wide", async ({ scheme, width }) => {
    const page = await open();
    await page.page.emulateMedia({ colorScheme: scheme });
    await page.page.setViewportSize({ width, height: 800 });
    for (const panel of PANELS) {
      await page.show(panel);
      expect(await page.violations(), `${panel}, empty`).toEqual([]);
      expect(await page.overflow(), `${panel}, empty`).toBeLessThanOrEqual(0);
    }
    await page.connect("alice");
    await page.send("Everyone");
    await page.field("Payload").fill("{");
    await page.page.getByText(/^Line 1, column 2/).waitFor();
    expect(await page.violations(), "a fault").toEqual([]);
    await page.show("events");
    await expect.poll(() => page.rows.count()).toBe(1);
    await page.rows.first().click();
    await page.page.locator(".detail").waitFor();
    for (const panel of PANELS) {
      if (panel !== "events") await page.page.keyboard.press("Escape");
      await page.show(panel);
      if (panel === "health") await page.says("Connections", /^\d+$/);
      if (panel === "clients") await page.page.getByRole("button", { name: /^alice/ }).click();
      expect(await page.violations(), panel).toEqual([]);
      expect(await page.overflow(), panel).toBeLessThanOrEqual(0);
    }
  });
});
