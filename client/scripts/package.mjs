// Looks at the package as those see it who install it. Needs what `npm run build` makes.
import { execFileSync } from "node:child_process";
import { mkdtempSync, readdirSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";

const root = fileURLToPath(new URL("..", import.meta.url));
const folder = mkdtempSync(join(tmpdir(), "tidewire-package-"));
const run = (command, ...rest) => execFileSync(command, rest, { cwd: root, stdio: "inherit" });

let failed = false;
try {
  // Without scripts: it is built, and packing would build it anew.
  run("npm", "pack", "--silent", "--ignore-scripts", "--pack-destination", folder);
  const tarball = join(folder, readdirSync(folder)[0]);
  for (const look of [
    ["publint", "run", tarball, "--strict"],
    // There are ES modules only, which is meant: browsers, bundlers and every maintained Node load
    // them. The profile leaves out what that means for `require` in a Node that cannot load them
    // so (cjs-resolves-to-esm), and for Node 10, which finds no entry since it knows no "exports".
    ["attw", tarball, "--profile", "esm-only", "--format", "ascii", "--no-summary"],
  ]) {
    try {
      run("npx", "--no-install", ...look);
    } catch (error) {
      if (error.status === undefined) throw error;
      // It has said why.
      failed = true;
    }
  }
} finally {
  rmSync(folder, { recursive: true, force: true });
}
process.exitCode = failed ? 1 : 0;
