/** What pages load: the client, as the source is now, and what records its doings. */
import { fileURLToPath } from "node:url";
import { build, type Plugin } from "esbuild";
import type { TestProject } from "vitest/node";

export interface Modules {
  /** `/tidewire.js`, as the server would have it. */
  client: string;
  /** `/recorder.js`, which imports it. */
  recorder: string;
}

declare module "vitest" {
  interface ProvidedContext {
    modules: Modules;
  }
}

/** Once for each run. */
export default async function provide(project: TestProject): Promise<void> {
  const [client, recorder] = await Promise.all([
    bundle("../../src/index.ts"),
    bundle("recorder.ts", clientOfPage),
  ]);
  project.provide("modules", { client, recorder });
}

async function bundle(path: string, ...plugins: Plugin[]): Promise<string> {
  const { outputFiles } = await build({
    entryPoints: [fileURLToPath(new URL(path, import.meta.url))],
    bundle: true,
    format: "esm",
    target: "es2022",
    write: false,
    plugins,
  });
  return outputFiles[0]?.text ?? "";
}

/** The recorder has no client of its own: it is that of the page which is tested. */
const clientOfPage: Plugin = {
  name: "client of the page",
  setup({ onResolve }) {
    onResolve({ filter: /src\/index\.js$/ }, () => ({ path: "/tidewire.js", external: true }));
  },
};
