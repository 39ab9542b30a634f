// A browser that does what it is told, a line of JSON at a time: { page, do, … } → { value } or { error }.
import { createInterface } from "node:readline";
import { chromium } from "../../client/node_modules/playwright-core/index.mjs";

const browser = await chromium.launch({
  executablePath: process.env.CHROMIUM ?? "/usr/bin/chromium",
  args: ["--no-sandbox"],
});
const pages = new Map();
const asked = [];

async function pageOf(name) {
  if (!pages.has(name)) {
    const context = await browser.newContext();
    const page = await context.newPage();
    page.on("request", (request) => asked.push(request.url()));
    pages.set(name, page);
  }
  return pages.get(name);
}

const doing = {
  open: (page, { url }) => page.goto(url, { waitUntil: "load" }).then(() => null),
  serve: (page, { url, body, type }) =>
    page.route(url, (route) => route.fulfill({ body, contentType: type })).then(() => null),
  text: (page, { selector }) => page.locator(selector).innerText(),
  wait: (page, { selector, text }) =>
    page.locator(selector, { hasText: text }).first().waitFor({ timeout: 15_000 }).then(() => null),
  click: (page, { selector }) => page.locator(selector).click().then(() => null),
  dark: (page, { on }) =>
    page.emulateMedia({ colorScheme: on ? "dark" : "light" }).then(() => null),
  evaluate: (page, { code }) => page.evaluate(code),
  // How light it looks, from 0 (black) to 255.
  light: async (page, { selector }) => {
    const shot = await page.locator(selector).first().screenshot();
    return page.evaluate(async (data) => {
      const picture = new Image();
      picture.src = `data:image/png;base64,${data}`;
      await picture.decode();
      const { width, height } = picture;
      const context = new OffscreenCanvas(width, height).getContext("2d");
      context.drawImage(picture, 0, 0);
      const { data: bytes } = context.getImageData(0, 0, width, height);
      let sum = 0;
      for (let at = 0; at < bytes.length; at += 4) sum += bytes[at + 1];
      return sum / (bytes.length / 4);
    }, shot.toString("base64"));
  },
  asked: async () => asked.splice(0),
};

for await (const line of createInterface({ input: process.stdin })) {
  const command = JSON.parse(line);
  const answer = await pageOf(command.page)
    .then((page) => doing[command.do](page, command))
    .then(
      (value) => ({ value }),
      (error) => ({ error: String(error) }),
    );
  console.log(JSON.stringify(answer));
}
await browser.close();
