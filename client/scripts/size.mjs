// What a page loads for the core, everything it imports included. Prints it, and fails above the
// promise.
import { fileURLToPath } from "node:url";
import { gzipSync } from "node:zlib";
import { build } from "esbuild";

const PROMISED = 8 * 1024;

const { outputFiles } = await build({
  entryPoints: [fileURLToPath(new URL("../dist/index.js", import.meta.url))],
  bundle: true,
  minify: true,
  format: "esm",
  target: "es2022",
  write: false,
});
const code = outputFiles[0].contents;
const size = gzipSync(code, { level: 9 }).length;
console.log(`core: ${code.length} bytes, ${size} gzipped (at most ${PROMISED})`);
process.exitCode = size > PROMISED ? 1 : 0;
