// Usage: ui.mjs HOST:PORT WORKSPACE PICTURES. VS Code as a user has it: types, points and reads what stands on the screen.
// Saves a picture of each surface, and prints one line of JSON for each check. The models are the ones that ship.

import { mkdirSync } from "node:fs";
import { browse } from "./browser.mjs";

const [host, workspace, pictures] = process.argv.slice(2);
const modifier = "Control";
mkdirSync(pictures, { recursive: true });
const { browser, page } = await browse(`http://${host}/?folder=${encodeURIComponent(workspace)}`, {
  viewport: { width: 1180, height: 700 },
});
const failures = [];
page.on("pageerror", (error) => failures.push(String(error)));

const tell = (check, fields = {}) => console.log(JSON.stringify({ check, ...fields }));
const shot = (name, clip) => page.screenshot({ path: `${pictures}/${name}.png`, clip });
const editor = page.locator(".editor-instance .monaco-editor").first();
const status = page.locator("#inkling\\.inkling\\.inkling\\.status, [id$='inkling.status']").first();
const ghost = page.locator(".ghost-text, .ghost-text-decoration, .ghost-text-decoration-preview");

async function until(what, probe, milliseconds = 60_000) {
  const end = Date.now() + milliseconds;
  for (;;) {
    const value = await probe();
    if (value) return value;
    if (Date.now() > end) {
      throw new Error(`never: ${what}`);
    }
    await page.waitForTimeout(50);
  }
}

/** The text of the ghost as it stands on the screen. */
const ghostText = () => ghost.evaluateAll((parts) => parts.map((part) => part.textContent.replaceAll("\u00a0", " ")).join("").trim());
const shownText = async () => (await page.locator(".editor-instance .view-lines").last().innerText()).replaceAll("\u00a0", " ");

async function palette(text) {
  await until("the palette", async () => {
    await page.keyboard.press("F1");
    return page.locator(".quick-input-widget input").isVisible();
  });
  await page.locator(".quick-input-widget input").first().fill(`>${text}`);
  await page.locator(".quick-input-list .monaco-list-row").filter({ hasText: text }).first().waitFor();
}

async function command(text) {
  await palette(text);
  await page.keyboard.press("Enter");
}

async function open(name) {
  await until(`the file ${name}`, async () => {
    await page.keyboard.press(`${modifier}+P`);
    await page.locator(".quick-input-widget input").first().fill(name);
    await page.locator(".quick-input-list .monaco-list-row").filter({ hasText: name }).first().waitFor();
    await page.keyboard.press("Enter");
    return page.locator(".tab.active").filter({ hasText: name }).first().waitFor({ timeout: 5_000 }).then(() => true, () => false);
  });
  await editor.locator(".view-lines").waitFor();
}

async function goTo(line, column) {
  await page.keyboard.press(`${modifier}+G`);
  await page.locator(".quick-input-widget input").first().fill(`:${line}:${column}`);
  await page.keyboard.press("Enter");
  await until("the cursor", async () => (await page.locator("[id='status.editor.selection']").textContent())?.includes(`Ln ${line}`));
}

async function type(text) {
  for (const character of text) {
    await page.keyboard.type(character);
    await page.waitForTimeout(40);
  }
}

/** The part of the screen around the element, `above` and `below` in pixels. */
async function around(locator, above, below, width = 760) {
  const box = await locator.boundingBox();
  const y = Math.max(0, box.y - above);
  return { x: Math.max(0, Math.min(box.x - 40, 1180 - width)), y, width, height: Math.min(700 - y, box.height + above + below) };
}

try {
  await page.locator(".monaco-workbench").waitFor({ timeout: 90_000 });
  await open("review.md");
  await until("Inkling in the status bar", () => status.isVisible());
  await page.waitForFunction((name) => document.querySelector(name)?.querySelector(".codicon-sparkle"), "[id$='inkling.status']", { timeout: 90_000 });
  tell("status", { text: (await status.textContent()).trim() });

  const squiggle = editor.locator(".squiggly-warning");
  await until("squiggles", async () => (await squiggle.count()) > 0, 90_000);
  tell("squiggles", { count: await squiggle.count() });
  await shot("squiggle");

  const marked = editor.locator(".view-line").filter({ hasText: "this function is garbage" });
  await marked.hover({ position: { x: 160, y: 8 } });
  const hoverBox = page.locator(".monaco-hover:not(.hidden)").filter({ hasText: "Reads as" });
  await hoverBox.first().waitFor();
  tell("squiggle-hover", { text: await hoverBox.first().innerText() });
  await page.keyboard.press("Escape");

  await goTo(6, 12);
  const menu = page.locator(".action-widget").filter({ hasText: "Ignore" });
  await until("a quick fix", async () => {
    await page.keyboard.press("Escape");
    await page.keyboard.press(`${modifier}+.`);
    await menu.waitFor({ timeout: 4_000 }).catch(() => {});
    return menu.isVisible();
  });
  tell("quick-fix", { text: await menu.innerText() });
  await shot("quick-fix");
  await menu.locator(".monaco-list-row").filter({ hasText: 'here' }).first().click();
  const before = 2;
  await until("a squiggle less", async () => (await squiggle.count()) < before || (await editor.innerText()).includes("inkling:"));
  tell("quick-fix-applied", { text: (await editor.locator(".view-lines").innerText()).replaceAll("\u00a0", " ") });
  await page.keyboard.press(`${modifier}+Z`);

  await status.hover();
  const tip = page.locator(".monaco-hover").filter({ hasText: "engine ready" });
  await tip.first().waitFor();
  tell("status-hover", { text: await tip.first().innerText() });
  await shot("status", { x: 580, y: 480, width: 600, height: 220 });
  await page.mouse.move(600, 300);

  await open("inventory.py");
  await goTo(48, 11);
  await command("Show or Focus Hover");
  const tokens = page.locator(".monaco-hover:not(.hidden)").filter({ hasText: "Tokens" });
  await tokens.first().waitFor();
  tell("hover", { text: await tokens.first().innerText() });
  await shot("hover");
  await page.keyboard.press("Escape");

  await palette("Inkling: ");
  tell("palette", { text: await page.locator(".quick-input-list").innerText() });
  await shot("palette");
  await page.keyboard.press("Escape");
  await page.keyboard.press("Escape");

  // Ghost text: what it said over time is recorded, since no picture can show growth.
  await page.evaluate(() => {
    window.inklingGhosts = [];
    const read = () => {
      const parts = [...document.querySelectorAll(".ghost-text, .ghost-text-decoration, .ghost-text-decoration-preview")];
      const text = parts.map((part) => part.textContent.replaceAll("\u00a0", " ")).join("").trim();
      if (text && window.inklingGhosts.at(-1)?.text !== text) window.inklingGhosts.push({ at: performance.now(), text });
    };
    new MutationObserver(read).observe(document.body, { subtree: true, childList: true, characterData: true, attributes: true });
  });
  const recorded = () => page.evaluate(() => window.inklingGhosts.splice(0));
  const PLACES = {
    "ghost-line": ["        lines = []\n        for item in sor", "        total = 0\n        for item in self.", "        with open(path, encod"],
    "ghost-block": ["    def total(self) -> int:\n        ", "    def remove(self, name: str) -> None:\n        ", "    def __init__(self, name, count):\n        "],
  };
  for (const [name, places] of Object.entries(PLACES)) {
    let shown = "";
    for (const place of places) {
      await page.keyboard.press(`${modifier}+End`);
      await recorded();
      for (const line of place.split("\n")) {
        await page.keyboard.press("Enter");
        await page.keyboard.press("Shift+Home"); // the indentation that the editor has made
        await type(line);
      }
      await page.keyboard.press("Alt+\\");
      shown = await until("ghost text", ghostText, 15_000).catch(() => "");
      if (shown) break;
    }
    for (let last = ""; (await ghostText()) !== last; last = await ghostText()) {
      await page.waitForTimeout(1500);
    }
    const grown = await recorded();
    tell(name, { text: (await ghostText()) || shown, steps: grown.length, grown: grown.map(({ text }) => text) });
    await shot(name);
    await page.keyboard.press("Escape");
  }

  await open("incident.md");
  await page.keyboard.press(`${modifier}+A`);
  await command("Inkling: Summarize Selection");
  const summary = page.locator(".tab.active").filter({ hasText: "Summary" });
  await summary.first().waitFor({ timeout: 90_000 });
  await until("the summary", async () => /Key sentences|Written/.test(await shownText()));
  tell("summary", { text: await shownText() });
  await shot("summary");
} catch (error) {
  await shot("failed");
  throw error;
} finally {
  tell("page-errors", { errors: failures });
  await browser.close();
}
