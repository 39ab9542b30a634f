// Reads {name: {library, cookie, secret, token, maxAge?}} as JSON and answers
// {name: {cookie name: value}}, made by the libraries' own encoders and their own
// division into chunks.
import { readFileSync } from "node:fs";
import { createRequire } from "node:module";
import * as v5 from "@auth/core/jwt";
// Neither package exports its session store; the files are theirs.
import { SessionStore as Store5 } from "./node_modules/@auth/core/lib/utils/cookie.js";

const require = createRequire(import.meta.url);
const v4 = require("next-auth/jwt");
const { SessionStore: Store4 } = require("./node_modules/next-auth/core/lib/cookie.js");

const quiet = { debug() {}, warn() {}, error() {} };

async function cookies({ library, cookie, token, secret, maxAge }) {
  const option = { name: cookie, options: {} };
  if (library === "next-auth") {
    const value = await v4.encode({ token, secret, maxAge });
    return [value, new Store4(option, {}, quiet)];
  }
  const value = await v5.encode({ token, secret, salt: cookie, maxAge });
  return [value, new Store5(option, {}, quiet)];
}

const made = {};
for (const [name, wanted] of Object.entries(JSON.parse(readFileSync(0, "utf8")))) {
  const [value, store] = await cookies(wanted);
  made[name] = Object.fromEntries(store.chunk(value, {}).map((part) => [part.name, part.value]));
}
process.stdout.write(JSON.stringify(made));
