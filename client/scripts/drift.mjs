// Fails if the module that the server has is not the build of the source. Changes nothing.
import { readFileSync } from "node:fs";
import { fileURLToPath } from "node:url";
import { bundle, MODULE } from "./bundle.mjs";

let kept = null;
try {
  kept = readFileSync(MODULE);
} catch (error) {
  if (error.code !== "ENOENT") throw error;
}
if (kept === null || !kept.equals(await bundle())) {
  const path = fileURLToPath(MODULE);
  console.error(
    `${path} is not the build of the source. Build it, and commit it with the source:\n` +
      "    npm --prefix client run build",
  );
  process.exitCode = 1;
}
