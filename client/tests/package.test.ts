/** The package as those have it who install it: packed, in an empty project, with no help. */
import { spawnSync } from "node:child_process";
import { randomBytes } from "node:crypto";
import {
  cpSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { fileURLToPath, pathToFileURL } from "node:url";
import { afterAll, beforeAll, expect, test } from "vitest";

const CLIENT = fileURLToPath(new URL("..", import.meta.url));
const INSTALLED = join(CLIENT, "node_modules");
const MANIFEST = JSON.parse(readFileSync(join(CLIENT, "package.json"), "utf8"));

/** What stands in an `import`, for all that there is to import. */
const ENTRIES = Object.keys(MANIFEST.exports)
  .filter((path) => path !== "./package.json")
  .map((path) => MANIFEST.name + path.slice(1));

/** What some entries need, and nobody has who does not use them. */
const PEERS = ["react", "@types/react", "csstype", "zustand"];

const folder = mkdtempSync(join(tmpdir(), "tidewire-package-"));
const project = join(folder, "project");
/** A copy of the source: it is built when it is packed, and others use what is built here. */
const copy = join(folder, "tree", "client");
const served = join(folder, "tree", "src", "tidewire", "http", "static", "tidewire.js");

function run(command: string, args: string[], cwd: string, timeout = 60_000): string {
  const { status, stdout, stderr } = spawnSync(command, args, { cwd, encoding: "utf8", timeout });
  if (status !== 0) throw new Error(`${command} ${args.join(" ")}:\n${stdout}${stderr}`);
  return stdout;
}

function npm(args: string[], cwd: string): void {
  run("npm", [...args, "--offline", "--no-audit", "--no-fund", "--silent"], cwd);
}

/** Packs what is in a folder; returns where the package is. */
function pack(source: string, ...args: string[]): string {
  const target = mkdtempSync(join(folder, "packed-"));
  npm(["pack", "--pack-destination", target, ...args], source);
  const [name] = readdirSync(target);
  if (name === undefined) throw new Error(`${source} was not packed.`);
  return join(target, name);
}

function copySource(): void {
  mkdirSync(dirname(served), { recursive: true });
  const left = new Set(["dist", "node_modules", "tests"].map((name) => join(CLIENT, name)));
  cpSync(CLIENT, copy, { recursive: true, filter: (path) => !left.has(path) });
  symlinkSync(INSTALLED, join(copy, "node_modules"));
}

function write(name: string, content: string | object): void {
  const text = typeof content === "string" ? content : JSON.stringify(content);
  writeFileSync(join(project, name), text);
}

const PROGRAM = `
${ENTRIES.map((entry, number) => `import * as entry${number} from "${entry}";`).join("\n")}
import { type KnownEvents, SSEClient, TidewireError } from "${MANIFEST.name}";

/** A module that has types, and exports something. */
type Typed<Module> = 0 extends 1 & Module ? never : [keyof Module] extends [never] ? never : Module;
${ENTRIES.map((_, number) => `const typed${number}: Typed<typeof entry${number}> = entry${number};`).join("\n")}

interface Events extends KnownEvents {
  orderShipped: { order: number };
}
const client = new SSEClient<Events>({ endpoint: "http://server.test/api/sse", types: ["orderShipped"] });
const off: () => void = client.on("orderShipped", (event) => {
  const order: number = event.data.order;
  // @ts-expect-error: it is no string.
  const text: string = event.data.order;
  console.log(order, text);
});
client.on("notification", ({ data, priority }) => {
  const kind: "info" | "success" | "warning" | "error" = data.type;
  const level: "low" | "normal" | "high" | "critical" = priority;
  console.log(kind, level);
});
client.on("gap", ({ data }) => console.log(data.reason satisfies string));
// @ts-expect-error: there is no such event.
client.on("orderShiped", () => {});
// @ts-expect-error: nor such an option.
new SSEClient({ endpoints: "/api/sse" });
off();

const told = {
  status: client.getStatus().connectionStatus,
  entries: [${ENTRIES.map((_, number) => `Object.keys(typed${number}).length > 0`).join(", ")}],
  error: Object.prototype.isPrototypeOf.call(Error, TidewireError),
};
console.log(JSON.stringify(told));
`;

/** What browsers have, and servers not always. */
const MISSING = [
  ...["document", "window", "navigator", "location", "localStorage", "sessionStorage"],
  ...["fetch", "EventSource", "BroadcastChannel", "AbortController", "crypto", "addEventListener"],
];

const IMPORTING = `
for (const name of process.argv.slice(3)) delete globalThis[name];
const globals = () => Reflect.ownKeys(globalThis).map(String).sort();
const before = globals();
const resources = process.getActiveResourcesInfo().length;
await import(process.argv[2]);
console.log(JSON.stringify({
  added: globals().filter((name) => !before.includes(name)),
  running: process.getActiveResourcesInfo().length - resources,
}));
`;

beforeAll(() => {
  mkdirSync(project);
  write("package.json", { private: true, type: "module" });
  const dependencies = Object.keys(MANIFEST.dependencies).map((name) =>
    pack(join(INSTALLED, name), "--ignore-scripts"),
  );
  copySource();
  npm(["install", "--ignore-scripts", pack(copy), ...dependencies], project);
  write("program.ts", PROGRAM);
  write("importing.mjs", IMPORTING);
}, 120_000);

afterAll(() => rmSync(folder, { recursive: true, force: true }));

function linkPeers(): void {
  unlinkPeers();
  for (const name of PEERS) {
    const place = join(project, "node_modules", name);
    mkdirSync(dirname(place), { recursive: true });
    symlinkSync(join(INSTALLED, name), place);
  }
}

function unlinkPeers(): void {
  for (const name of PEERS) rmSync(join(project, "node_modules", name), { force: true });
}

function importing(entry: string, missing: string[] = []): unknown {
  const { status, stdout, stderr } = spawnSync(
    process.execPath,
    ["importing.mjs", entry, ...missing],
    { cwd: project, encoding: "utf8", timeout: 10_000 },
  );
  return { status, stderr, told: stdout === "" ? null : JSON.parse(stdout) };
}

test("it brings what it says, and nothing else", () => {
  const installed = join(project, "node_modules", MANIFEST.name);
  const allowed = new Set(["package.json", "README.md", "LICENSE", "dist", "src"]);
  expect(readdirSync(installed).filter((name) => !allowed.has(name))).toEqual([]);
  for (const [path, targets] of Object.entries<string | Record<string, string>>(MANIFEST.exports)) {
    for (const file of typeof targets === "string" ? [targets] : Object.values(targets)) {
      expect(() => readFileSync(join(installed, file)), `${path}: ${file}`).not.toThrow();
    }
  }
});

test("the core needs none of the optional peers, and none is installed with it", () => {
  unlinkPeers();
  const there = readdirSync(join(project, "node_modules")).filter((name) => /^\w/.test(name));
  expect(there.sort()).toEqual([MANIFEST.name, ...Object.keys(MANIFEST.dependencies)].sort());
  const quiet = { status: 0, stderr: "", told: { added: [], running: 0 } };
  expect(importing(MANIFEST.name)).toEqual(quiet);
});

test.each(ENTRIES)("to import %s does nothing, also where there is no browser", (entry) => {
  linkPeers();
  const quiet = { status: 0, stderr: "", told: { added: [], running: 0 } };
  expect(importing(entry)).toEqual(quiet);
  expect(importing(entry, MISSING)).toEqual(quiet);
});

test.each([
  { module: "node16", moduleResolution: "node16" },
  { module: "esnext", moduleResolution: "bundler" },
])("a strict program is type-checked under $moduleResolution, and runs", (resolution) => {
  linkPeers();
  const outDir = `out-${resolution.moduleResolution}`;
  write("tsconfig.json", {
    compilerOptions: {
      ...resolution,
      outDir,
      target: "es2022",
      lib: ["es2022", "dom", "dom.iterable"],
      types: [],
      strict: true,
      exactOptionalPropertyTypes: true,
      noUncheckedIndexedAccess: true,
      verbatimModuleSyntax: true,
      // Ours and those of the peers are to be right, too.
      skipLibCheck: false,
    },
    files: ["program.ts"],
  });
  const compiled = spawnSync(join(INSTALLED, ".bin", "tsc"), ["-p", "."], {
    cwd: project,
    encoding: "utf8",
    timeout: 60_000,
  });
  expect(compiled.stdout).toBe("");
  expect(compiled.status).toBe(0);
  // It ends by itself: a client that is not connected keeps nothing going.
  const told = JSON.parse(run(process.execPath, [join(outDir, "program.js")], project, 10_000));
  expect(told).toEqual({ status: "disconnected", entries: ENTRIES.map(() => true), error: true });
});

/** Runs one of the client's scripts on the copy. */
function script(name: string): { status: number | null; stdout: string; stderr: string } {
  const options = { cwd: copy, encoding: "utf8", timeout: 30_000 } as const;
  return spawnSync(process.execPath, [join("scripts", name)], options);
}

test("the module that the server has exports what the package does", () => {
  const program = `
    import * as module from "${pathToFileURL(served)}";
    import * as entry from "${MANIFEST.name}";
    console.log(JSON.stringify([Object.keys(module), Object.keys(entry)]));`;
  const told = run(process.execPath, ["--input-type=module", "-e", program], project, 10_000);
  const [module, entry] = JSON.parse(told);
  expect(module).toContain("SSEClient");
  expect(module).toEqual(entry);
});

test("a module that is not the build of the source is told, with how to mend it", () => {
  expect(script("drift.mjs")).toMatchObject({ status: 0, stdout: "", stderr: "" });
  const built = readFileSync(served, "utf8");
  for (const other of [`${built} `, built.replace("SSEClient", "SSEClint"), null]) {
    if (other === null) rmSync(served);
    else writeFileSync(served, other);
    const { status, stderr } = script("drift.mjs");
    expect(status).toBe(1);
    expect(stderr).toContain("npm --prefix client run build");
  }
  expect(existsSync(served)).toBe(false);
  writeFileSync(served, built);
});

test("the size of the core is that of what is loaded with it, and not of what comes later", () => {
  const index = join(copy, "dist", "index.js");
  const written = readFileSync(index, "utf8");
  const measured = () => {
    const { status, stdout } = script("size.mjs");
    const [, size, most] = /^core: \d+ bytes, (\d+) gzipped \(at most (\d+)\)/.exec(stdout) ?? [];
    expect(status).toBe(Number(size) > Number(most) ? 1 : 0);
    return { size: Number(size), most: Number(most), later: /^later, .*\bbig-/m.test(stdout) };
  };
  const { size, most } = measured();
  expect(most).toBe(8 * 1024);
  const noise = randomBytes(most).toString("base64");
  const text = `import { SSEClient } from "./index.js"; export const big = [SSEClient, "${noise}"];`;
  writeFileSync(join(copy, "dist", "big.js"), text);
  writeFileSync(index, `${written}\nexport const later = () => import("./big.js");`);
  const later = measured();
  expect(later.later).toBe(true);
  expect(later.size - size).toBeLessThan(100);
  writeFileSync(index, `${written}\nexport { big } from "./big.js";`);
  const sooner = measured();
  expect(sooner.later).toBe(false);
  expect(sooner.size - size).toBeGreaterThan(most);
  writeFileSync(index, written);
});
