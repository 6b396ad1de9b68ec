// Usage: host.mjs HOST:PORT WORKSPACE EXTENSION. WORKSPACE is a folder or a .code-workspace. Opens VS Code so that its extension host runs the extension's tests.

import { browse } from "./browser.mjs";

const [host, workspace, extension] = process.argv.slice(2);
const remote = (path) => `vscode-remote://${host}${path}`;
const payload = [["extensionDevelopmentPath", remote(extension)], ["extensionTestsPath", remote(`${extension}/out/test/index.js`)]];
const query = new URLSearchParams({ [workspace.endsWith(".code-workspace") ? "workspace" : "folder"]: workspace, payload: JSON.stringify(payload) });

const progress = new Set();
let end;
const ended = new Promise((resolve) => (end = resolve));
const { browser } = await browse(`http://${host}/?${query}`, {
  prepare: async (page) => {
    // Mocha's lines; the editor's own complaints about parts of it that are not installed are none of ours.
    await page.exposeFunction("codeAutomationLog", (type, parts) => /spdlog|watchdog|tsserver/.test(parts.join(" ")) || console.log(...parts));
    await page.exposeFunction("codeAutomationExit", end);
    // What the status bar says of work in progress, which the extension host cannot ask.
    await page.exposeFunction("inklingProgress", (text) => progress.add(text));
    await page.addInitScript(() => setInterval(() => {
      const text = document.querySelector("[id='status.progress']")?.textContent.replaceAll("\u00a0", " ").trim();
      if (text) window.inklingProgress(text);
    }, 100));
  },
});
const code = await ended;
console.log(`progress: ${JSON.stringify([...progress])}`);
await browser.close();
process.exit(code);
