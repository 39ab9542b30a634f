import { fileURLToPath } from "node:url";
import { defineConfig } from "vitest/config";

const path = (relative: string) => fileURLToPath(new URL(relative, import.meta.url));

const react18 = path("tests/react18/node_modules");
const views = {
  include: ["tests/react.test.tsx", "tests/zustand.test.tsx"],
  environment: "jsdom",
  // Modules of a page do not know where they lie.
  env: { TIDEWIRE: process.env.TIDEWIRE ?? path("../.venv/bin/tidewire") },
};

export default defineConfig({
  test: {
    testTimeout: 60_000,
    hookTimeout: 30_000,
    // They wait for servers most of the time.
    maxWorkers: 4,
    projects: [
      {
        extends: true,
        test: { name: "client", include: ["tests/*.test.ts"] },
      },
      {
        extends: true,
        test: { name: "react 19", ...views },
      },
      {
        extends: true,
        // They lie in a folder of their own: npm installs one version of each beside another.
        resolve: {
          alias: [{ find: /^(react|react-dom|zustand)(?=\/|$)/, replacement: `${react18}/$1` }],
        },
        test: { name: "react 18", ...views },
      },
    ],
  },
});
