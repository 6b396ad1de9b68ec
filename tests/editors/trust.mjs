// Usage: trust.mjs HOST:PORT WORKSPACE RAN. VS Code on a workspace that the user does not trust, then does; and on one that is on no
// disk. Prints one line of JSON for each: what the status bar item's hover says, and whether the file RAN is there.

import { existsSync } from "node:fs";
import { openScreen } from "./screen.mjs";

const [host, workspace, ran] = process.argv.slice(2);
const tell = (check, fields) => console.log(JSON.stringify({ check, ...fields }));

const screen = await openScreen(host, workspace);
const { page, until } = screen;
const status = page.locator("[id$='inkling.status']");
const icon = (name) => status.locator(`.codicon-${name}`).first().waitFor({ timeout: 90_000 });
const hover = page.locator(".monaco-hover:not(.hidden)").filter({ hasText: "engine" }).first();
const said = (model) =>
  until(`${model} on the status bar's hover`, async () => {
    await page.mouse.move(600, 200);
    await status.hover();
    const text = await hover.innerText({ timeout: 4_000 }).catch(() => "");
    return text.includes(model) && text;
  }, 90_000);
try {
  await icon("shield");
  await screen.open("note.md");
  await until("a squiggle", () => screen.editor.locator(".squiggly-warning, .squiggly-info").count(), 90_000);
  tell("restricted", { hover: await said("starter:tone"), ran: existsSync(ran) });

  await page.mouse.move(600, 200);
  await page.locator("[id='workbench.parts.banner']").getByText("Manage").click();
  await page.getByRole("button", { name: "Trust", exact: true }).click();
  await page.getByText("You trust this folder").waitFor();
  await page.locator(".monaco-modal-editor-block .codicon-close").last().click();
  await page.locator(".monaco-modal-editor-block").waitFor({ state: "detached" });
  await icon("sparkle");
  tell("trusted", { hover: await said("fake?from=vscode"), ran: existsSync(ran) });
} finally {
  await screen.browser.close();
}

const elsewhere = await openScreen(host, "nowhere:/"); // nobody serves it, but that it is virtual is known by its scheme
try {
  await elsewhere.page.locator(".monaco-workbench").waitFor({ timeout: 90_000 });
  await elsewhere.command("Extensions: Show Disabled Extensions");
  await elsewhere.page.locator(".extension-list-item").filter({ hasText: "Hugging Face" }).first().click();
  const word = elsewhere.page.locator(".extension-editor .header").filter({ hasText: "virtual" });
  tell("virtual", { text: await word.innerText(), items: await elsewhere.page.locator("[id$='inkling.status']").count() });
} finally {
  await elsewhere.browser.close();
}
