// Writes into package.json what it would otherwise repeat: the server's own schema, so that the editor completes and
// explains `inkling.settings`, and the palette from commands.json.
// Usage: python -m inkling.settings --schema | node manifest.mjs [--check]

import { readFileSync, writeFileSync } from "node:fs";

const file = new URL("package.json", import.meta.url);
const before = readFileSync(file, "utf8");
const manifest = JSON.parse(before);
const schema = JSON.parse(readFileSync(0, "utf8"));
const setting = manifest.contributes.configuration.properties["inkling.settings"];
setting.properties = schema.properties;
setting.additionalProperties = schema.additionalProperties;

const listed = JSON.parse(readFileSync(new URL("commands.json", import.meta.url), "utf8"));
// A command of the server is there when the server offers it: a plugin that is off takes its entries along.
const enablement = ({ command, server, of, enablement }) => (server ? `inkling.offers.${of ?? command}` : enablement);
manifest.contributes.commands = listed.map((entry) => {
  const when = enablement(entry);
  return { command: `inkling.${entry.command}`, title: entry.title, category: "Inkling", ...(when ? { enablement: when } : {}) };
});
manifest.contributes.menus["editor/context"] = listed
  .filter(({ context }) => context)
  .map((entry) => ({ command: `inkling.${entry.command}`, group: "1_modification@9", when: `${enablement(entry)} && ${entry.context}` }));

const after = JSON.stringify(manifest, null, 2) + "\n";
if (process.argv.includes("--check")) {
  process.exit(after === before ? 0 : 1);
}
writeFileSync(file, after);
