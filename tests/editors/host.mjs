// Usage: host.mjs HOST:PORT WORKSPACE EXTENSION. Opens VS Code so that its extension host runs the extension's tests.

import { browse } from "./browser.mjs";

const [host, workspace, extension] = process.argv.slice(2);
const remote = (path) => `vscode-remote://${host}${path}`;
const payload = [["extensionDevelopmentPath", remote(extension)], ["extensionTestsPath", remote(`${extension}/out/test/index.js`)]];
const query = new URLSearchParams({ folder: workspace, payload: JSON.stringify(payload) });

let end;
const ended = new Promise((resolve) => (end = resolve));
const { browser } = await browse(`http://${host}/?${query}`, {
  prepare: async (page) => {
    // Mocha's lines; the editor's own complaints about parts of it that are not installed are none of ours.
    await page.exposeFunction("codeAutomationLog", (type, parts) => /spdlog|watchdog|tsserver/.test(parts.join(" ")) || console.log(...parts));
    await page.exposeFunction("codeAutomationExit", end);
  },
});
const code = await ended;
await browser.close();
process.exit(code);
