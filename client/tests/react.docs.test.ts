/** What the documentation of the hook and the README show is TypeScript that holds. */
import { execFile } from "node:child_process";
import { mkdtemp, readFile, rm, writeFile } from "node:fs/promises";
import { fileURLToPath } from "node:url";
import { promisify } from "node:util";
import { expect, test } from "vitest";

const path = (relative: string) => fileURLToPath(new URL(relative, import.meta.url));

const snippets = async (page: string) =>
  [...(await readFile(path(`../../${page}`), "utf8")).matchAll(/```tsx\n(.*?)```/gs)].map(
    ([, code]) => code as string,
  );

/** As much of it as is shown. */
const SONNER = `declare module "sonner" {
  export const toast: {
    (title: string, rest: { description: string }): void;
    error(title: string): void;
  };
}`;

test("every snippet of docs/react.md and the component of README.md compile", async () => {
  const codes = [...(await snippets("README.md")), ...(await snippets("docs/react.md"))];
  expect(codes.length).toBeGreaterThan(8);
  // There, so that React is found; and where nobody else looks.
  const folder = await mkdtemp(path("../node_modules/.snippets-"));
  try {
    const files = codes.map((code, index) => {
      // Those that others import say how they are called, or are known by what they export.
      const said = /^\/\/ \S*\/(\w+)\.tsx/.exec(code)?.[1];
      return `${said ?? (code.includes("const useShop") ? "shop" : `snippet${index}`)}.tsx`;
    });
    const config = {
      extends: path("../tsconfig.json"),
      compilerOptions: {
        module: "ESNext",
        moduleResolution: "bundler",
        types: [],
        paths: { tidewire: [path("../src/index.ts")], "tidewire/*": [path("../src/*.ts")] },
      },
      files: [...files, "sonner.d.ts"],
      include: [],
    };
    await writeFile(`${folder}/tsconfig.json`, JSON.stringify(config));
    await writeFile(`${folder}/sonner.d.ts`, SONNER);
    await Promise.all(codes.map((code, index) => writeFile(`${folder}/${files[index]}`, code)));
    const tsc = path("../node_modules/typescript/bin/tsc");
    const run = promisify(execFile)(process.execPath, [tsc, "-p", folder]);
    const said = await run.then(
      () => "",
      ({ stdout }) => stdout as string,
    );
    expect(said).toBe("");
  } finally {
    await rm(folder, { recursive: true });
  }
});
