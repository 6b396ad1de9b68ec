// Writes the server's own schema into package.json, so that the editor completes and explains `inkling.settings`.
// Usage: python -m inkling.settings --schema | node settings.mjs

import { readFileSync, writeFileSync } from "node:fs";

const file = new URL("package.json", import.meta.url);
const manifest = JSON.parse(readFileSync(file, "utf8"));
const schema = JSON.parse(readFileSync(0, "utf8"));
const setting = manifest.contributes.configuration.properties["inkling.settings"];
setting.properties = schema.properties;
setting.additionalProperties = schema.additionalProperties;
writeFileSync(file, JSON.stringify(manifest, null, 2) + "\n");
