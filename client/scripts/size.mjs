// What a page loads for the core, everything that it imports statically included. Prints it, and
// fails above the promise. Beside it, what is loaded later, and the one module that has all.
import { readFileSync } from "node:fs";
import { fileURLToPath } from "node:url";
import { gzipSync } from "node:zlib";
import { build } from "esbuild";
import { MODULE } from "./bundle.mjs";

const PROMISED = 8 * 1024;
const ENTRY = "dist/index.js";

const { metafile, outputFiles } = await build({
  absWorkingDir: fileURLToPath(new URL("..", import.meta.url)),
  entryPoints: [ENTRY],
  bundle: true,
  splitting: true,
  minify: true,
  format: "esm",
  target: "es2022",
  // Nothing is written there; only names are made of it.
  outdir: "bundle",
  metafile: true,
  write: false,
});
const names = Object.keys(metafile.outputs);
const entry = names.find((name) => metafile.outputs[name].entryPoint === ENTRY);

/** A file, and those that it imports statically. */
function loadedWith(name, seen = new Set()) {
  if (!seen.has(name)) {
    seen.add(name);
    for (const { kind, path } of metafile.outputs[name].imports) {
      if (kind === "import-statement") loadedWith(path, seen);
    }
  }
  return seen;
}

function code(name) {
  return outputFiles.find(({ path }) => path.endsWith(`/${name}`)).text;
}

/** As one file, as most bundlers leave it: what is split off for what is loaded later comes back,
 * without the names that had to pass between the two. */
function joined(files) {
  return files
    .map((name) => (name === entry ? code(name) : code(name).replace(/export\{[^}]*\};?\s*$/, "")))
    .map((text) => text.replaceAll(/import\{[^}]*\}from"\.\/[^"]+";/g, ""))
    .join("");
}

function show(what, text, promised) {
  const size = gzipSync(text, { level: 9 }).length;
  const limit = promised === undefined ? "" : ` (at most ${promised})`;
  console.log(`${what}: ${Buffer.byteLength(text)} bytes, ${size} gzipped${limit}`);
  if (size > promised) process.exitCode = 1;
}

const core = loadedWith(entry);
show("core", joined([...core]), PROMISED);
for (const name of names.filter((name) => !core.has(name))) show(`later, ${name}`, code(name));
show("tidewire.js", readFileSync(MODULE));
