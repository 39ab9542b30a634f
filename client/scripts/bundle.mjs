// The client as one ES module, as servers give it to pages that have no build of their own.
// The same source makes the same bytes.
import { readFileSync } from "node:fs";
import { fileURLToPath } from "node:url";
import { build } from "esbuild";

const root = new URL("..", import.meta.url);

/** Where the server has it. It is kept in git: who installs the server needs no Node. */
export const MODULE = new URL("../src/tidewire/http/static/tidewire.js", root);

/** The bytes of the module; what the source loads later is in it, too. */
export async function bundle() {
  const { outputFiles } = await build({
    absWorkingDir: fileURLToPath(root),
    entryPoints: ["src/index.ts"],
    bundle: true,
    minify: true,
    format: "esm",
    target: "es2022",
    legalComments: "none",
    banner: { js: banner() },
    write: false,
  });
  return outputFiles[0].contents;
}

/** Who made what is in it, and under which licence; its parts ask for that. */
function banner() {
  const own = manifest("package.json");
  const parts = Object.keys(own.dependencies).map((name) => {
    const { version, license, author } = manifest(`node_modules/${name}/package.json`);
    return `${name} ${version} (${license}, ${author.replace(/ <.*/, "")})`;
  });
  return `/*! ${own.name} ${own.version} (${own.license}), with ${parts.join(", ")} */`;
}

function manifest(path) {
  return JSON.parse(readFileSync(new URL(path, root), "utf8"));
}
