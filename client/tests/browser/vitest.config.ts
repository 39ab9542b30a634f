import { fileURLToPath } from "node:url";
import { defineConfig } from "vitest/config";

export default defineConfig({
  test: {
    root: fileURLToPath(new URL("../..", import.meta.url)),
    include: ["tests/browser/*.test.ts"],
    globalSetup: ["tests/browser/modules.ts"],
    testTimeout: 90_000,
    hookTimeout: 30_000,
    // A busy machine is no failure.
    expect: { poll: { timeout: 15_000 } },
    // Each has a browser and a server of its own, and waits most of the time.
    maxWorkers: 3,
  },
});
