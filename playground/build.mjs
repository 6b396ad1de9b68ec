// One script and one page into the package, with the licences of what the script contains: `make playground`.
import { build } from "esbuild";
import { copyFile, mkdir, readFile, readdir, writeFile } from "node:fs/promises";

const out = new URL("../server/inkling/playground/page/", import.meta.url).pathname;
await mkdir(out, { recursive: true });
const { metafile } = await build({
  entryPoints: ["src/main.ts"], bundle: true, minify: true, format: "esm", target: "es2022",
  outfile: `${out}main.js`, metafile: true, logLevel: "warning",
});
for (const name of ["index.html", "style.css"]) await copyFile(`src/${name}`, `${out}${name}`);

const packages = new Set(Object.keys(metafile.inputs)
  .map(path => path.match(/^node_modules\/((?:@[^/]+\/)?[^/]+)/)?.[1]).filter(Boolean));
const licences = [];
for (const name of [...packages].sort()) {
  const folder = `node_modules/${name}`;
  const file = (await readdir(folder)).find(file => /^licen[cs]e/i.test(file));
  if (file === undefined) throw new Error(`${name} has no licence file`);
  licences.push(`${name}\n\n${await readFile(`${folder}/${file}`, "utf8")}`);
}
await writeFile(`${out}licences.txt`, licences.join("\n----\n\n"));
