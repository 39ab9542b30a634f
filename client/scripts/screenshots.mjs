// Pictures of the debugger, of a server that has something to show. The only argument is the
// folder that they go to. TIDEWIRE names another command than that of the virtual environment,
// CHROMIUM another browser.
import { spawn } from "node:child_process";
import { mkdirSync } from "node:fs";
import { createInterface } from "node:readline";
import { fileURLToPath } from "node:url";
import { chromium } from "playwright-core";

const COMMAND =
  process.env.TIDEWIRE ?? fileURLToPath(new URL("../../.venv/bin/tidewire", import.meta.url));
const folder = process.argv[2];
if (folder === undefined) throw new Error("usage: screenshots.mjs FOLDER");

/** How long figures are gathered before they are looked at, in milliseconds. */
const GATHER_MS = 80_000;
const SIZES = { narrow: { width: 360, height: 760 }, wide: { width: 1440, height: 900 } };

const ADMIN = "userId=operator&roles=ADMIN";
const VISITORS = [
  "userId=bob&roles=EDITOR&clientType=web",
  "userId=bob&roles=EDITOR&clientType=phone&types=notification",
  "userId=carol&roles=CHIEF,EDITOR&clientType=web&topics=orders",
  "userId=dave&clientType=kiosk&types=dashboardUpdate,reportUpdate",
  "userId=erin&clientType=web",
  "userId=frank&clientType=phone",
];
const NEWS = [
  [
    "notification",
    "normal",
    { title: "Order 5121 has shipped", message: "It comes on Friday.", type: "success" },
  ],
  [
    "dashboardUpdate",
    "low",
    { updateType: "metrics", orders: 1284, revenue: 48210.5, activeUsers: 312 },
  ],
  ["reportUpdate", "normal", { updateType: "progress", reportId: "2041", percent: 80 }],
  ["orderPlaced", "normal", { order: 5122, items: 3, total: 129.9 }],
  [
    "notification",
    "high",
    { title: "The import has failed", message: "Line 214 has no date.", type: "error" },
  ],
  ["userUpdate", "low", { updateType: "profile", displayName: "Alice Arden" }],
  [
    "systemAlert",
    "critical",
    { title: "Payments are slow", message: "Orders wait, and are not lost.", severity: "high" },
  ],
];

/** Starts a server on a free port. */
async function serve() {
  const child = spawn(COMMAND, ["serve", "--dev", "--port", "0"], {
    env: { ...process.env, TIDEWIRE_RATE_LIMITS: "off", TIDEWIRE_PING_INTERVAL: "5" },
    stdio: ["ignore", "pipe", "ignore"],
  });
  for await (const line of createInterface({ input: child.stdout })) {
    const url = /http:\/\/[\d.]+:\d+/.exec(line)?.[0];
    if (url === undefined) continue;
    child.stdout.resume();
    return { child, url };
  }
  throw new Error(`${COMMAND} did not start`);
}

/** Reads a stream until it is over. */
async function visit(url, query, signal) {
  try {
    const { body } = await fetch(`${url}/api/sse?${query}`, { signal });
    for await (const _ of body) {
      // What comes is of no interest.
    }
  } catch (error) {
    if (!signal.aborted) throw error;
  }
}

async function publish(url, events) {
  const body = JSON.stringify({ events });
  const headers = { "Content-Type": "application/json" };
  const target = `${url}/api/realtime/publish?${ADMIN}`;
  const answer = await fetch(target, { method: "POST", headers, body });
  if (!answer.ok) throw new Error(await answer.text());
}

/** What goes on in such a system, until it is told to end. */
async function live(url, signal) {
  const visits = VISITORS.map((query) => visit(url, query, signal));
  for (let n = 0; !signal.aborted; n += 1) {
    const many = 1 + Math.round(4 + 4 * Math.sin(n / 14));
    const events = Array.from({ length: many }, (_, index) => {
      const [type, priority, data] = NEWS[(n * 3 + index) % NEWS.length];
      return { type, priority, data, source: "shop", metadata: { correlationId: `c-${n}` } };
    });
    await publish(url, events);
    if (n % 40 === 10) await goWrong(url);
    if (n % 30 === 0) visits.push(visit(url, `userId=guest-${n}&clientType=web`, signal));
    await new Promise((resolve) => setTimeout(resolve, 250));
  }
  await Promise.all(visits);
}

/** What others do wrong. */
async function goWrong(url) {
  await fetch(`${url}/api/sse?userId=frank&topics=payroll`);
  await fetch(`${url}/api/realtime/polling?token=of-yesterday`);
}

async function open(browser, url, colorScheme, viewport) {
  const context = await browser.newContext({ colorScheme, viewport });
  const page = await context.newPage();
  await page.goto(`${url}/debug/sse`);
  await page.getByRole("textbox", { name: "Roles" }).fill("EDITOR");
  await page.getByRole("button", { name: "Connect", exact: true }).click();
  await page.locator(".standing .chip", { hasText: "Connected" }).waitFor();
  return page;
}

const show = (page, panel) => page.evaluate((hash) => location.assign(hash), `#${panel}`);

async function send(page) {
  await show(page, "send");
  const go = page.getByRole("button", { name: "Send", exact: true });
  const answers = page.getByRole("region", { name: "Answers" }).getByRole("listitem");
  const answered = async (count) => {
    await go.click();
    await answers.nth(count - 1).waitFor();
  };
  await answered(1);
  await page.getByRole("radio", { name: "Role" }).check();
  await page.getByRole("textbox", { name: "Role" }).fill("CHIEF");
  await answered(2);
  await page.getByRole("radio", { name: "Everyone" }).check();
  await page.getByRole("combobox", { name: "Type" }).fill("system-alert");
  await answered(3);
  await page.getByRole("button", { name: "Begin with systemAlert" }).click();
  await answered(4);
}

/** Brings each panel to where there is something to see. */
const SHOWN = {
  async connection() {},
  send,
  async events(page, wide) {
    await page.locator(".grid-body .grid-row:not([hidden])").first().waitFor();
    await page.getByRole("button", { name: "Pause" }).click();
    await page.getByRole("button", { name: /^Resume \(\d\d/ }).waitFor();
    if (wide)
      await page
        .locator(".grid-body .grid-row:not([hidden])", { hasText: "alert" })
        .first()
        .click();
  },
  async health() {},
  async clients(page, wide) {
    // As high as what there is to see.
    if (wide) await page.setViewportSize({ width: SIZES.wide.width, height: 1180 });
    await page.getByRole("button", { name: /^alice \(this page\)/ }).waitFor();
    if (wide) await page.getByRole("button", { name: /^carol/ }).click();
    const explain = page.getByRole("region", { name: "Who got it?" });
    await explain.getByRole("textbox", { name: "User id" }).fill("dave");
    await explain.getByRole("textbox", { name: "Event id" }).fill(await lastSent(page));
    await explain.getByRole("button", { name: "Explain" }).click();
    await explain.locator(".verdict").waitFor();
  },
  async log() {},
};

/** The id of the last event that this page has sent. */
function lastSent(page) {
  return page.locator(".sent code").first().textContent();
}

async function look(page, scheme, size) {
  for (const [panel, bring] of Object.entries(SHOWN)) {
    await page.setViewportSize(SIZES[size]);
    await show(page, panel);
    await bring(page, size === "wide");
    // Whatever had the focus is of no interest.
    await page.evaluate(() => {
      document.activeElement?.blur?.();
      scrollTo(0, 0);
    });
    await page.waitForTimeout(400);
    const path = `${folder}/${panel}-${scheme}-${size}.png`;
    await page.screenshot({ path, animations: "disabled" });
    console.log(path);
  }
}

mkdirSync(folder, { recursive: true });
const { child, url } = await serve();
const over = new AbortController();
const browser = await chromium.launch({
  executablePath: process.env.CHROMIUM ?? "/usr/bin/chromium",
  // As root it starts in no other way.
  args: ["--no-sandbox"],
});
const living = live(url, over.signal);
try {
  const pages = [];
  for (const scheme of ["light", "dark"]) {
    for (const [size, viewport] of Object.entries(SIZES)) {
      const page = await open(browser, url, scheme, viewport);
      await show(page, "health");
      pages.push({ page, scheme, size });
    }
  }
  await Promise.race([living, new Promise((resolve) => setTimeout(resolve, GATHER_MS))]);
  for (const { page, scheme, size } of pages) {
    await page.bringToFront();
    await look(page, scheme, size);
  }
} finally {
  over.abort();
  await browser.close();
  await living.catch(() => {});
  child.kill();
}
