// Usage: ui.mjs HOST:PORT WORKSPACE PICTURES. VS Code as a user has it: types, points and reads what stands on the screen.
// Saves a picture of each surface, and prints one line of JSON for each check. The models are the ones that ship.

import { mkdirSync } from "node:fs";
import { MODIFIER, openScreen } from "./screen.mjs";

const [host, workspace, pictures] = process.argv.slice(2);
mkdirSync(pictures, { recursive: true });
const screen = await openScreen(host, workspace);
const { browser, page, editor, until, palette, command, open, goTo, type } = screen;

const tell = (check, fields = {}) => console.log(JSON.stringify({ check, ...fields }));
const shot = async (name, clip) => {
  await page.waitForTimeout(700); // what fades in has done so
  await page.screenshot({ path: `${pictures}/${name}.png`, clip });
};
const status = page.locator("#inkling\\.inkling\\.inkling\\.status, [id$='inkling.status']").first();
const ghost = page.locator(".ghost-text, .ghost-text-decoration, .ghost-text-decoration-preview");

/** The text of the ghost as it stands on the screen. */
const ghostText = () => ghost.evaluateAll((parts) => parts.map((part) => part.textContent.replaceAll("\u00a0", " ")).join("").trim());
const shownText = async () => (await page.locator(".editor-instance .view-lines").last().innerText()).replaceAll("\u00a0", " ");

/** What a hover says; it may go while it is read, and is then asked for again. */
async function hovered(has, ask) {
  const box = page.locator(".monaco-hover:not(.hidden)").filter({ hasText: has }).first();
  return until(`a hover with ${has}`, async () => {
    await ask();
    return box.innerText({ timeout: 6_000 }).catch(() => "");
  }, 90_000);
}

try {
  await screen.ready();
  await open("review.md");
  tell("status", { text: (await status.textContent()).trim() });

  const squiggle = editor.locator(".squiggly-warning");
  await until("squiggles", async () => (await squiggle.count()) > 0, 90_000);
  tell("squiggles", { count: await squiggle.count() });
  await shot("squiggle");

  const marked = editor.locator(".view-line").filter({ hasText: "this function is garbage" });
  const text = await hovered("Reads as", async () => {
    await page.mouse.move(600, 600);
    await marked.hover({ position: { x: 160, y: 8 } });
  });
  tell("squiggle-hover", { text });
  await page.keyboard.press("Escape");

  await goTo(6, 12);
  const menu = page.locator(".action-widget").filter({ hasText: "Ignore" });
  await until("a quick fix", async () => {
    await page.keyboard.press("Escape");
    await page.keyboard.press(`${MODIFIER}+.`);
    await menu.waitFor({ timeout: 4_000 }).catch(() => {});
    return menu.isVisible();
  });
  tell("quick-fix", { text: await menu.innerText() });
  await shot("quick-fix");
  await menu.locator(".monaco-list-row").filter({ hasText: 'here' }).first().click();
  const before = 2;
  await until("a squiggle less", async () => (await squiggle.count()) < before || (await editor.innerText()).includes("inkling:"));
  tell("quick-fix-applied", { text: (await editor.locator(".view-lines").innerText()).replaceAll("\u00a0", " ") });
  await page.keyboard.press(`${MODIFIER}+Z`);

  const ask = async () => {
    await page.mouse.move(600, 300);
    await status.hover();
  };
  tell("status-hover", { text: await hovered("engine ready", ask) });
  await shot("status", { x: 580, y: 480, width: 600, height: 220 });
  await page.mouse.move(600, 300);

  await open("inventory.py");
  await goTo(48, 11);
  let counts = "";
  await until("a hover that is still there after its picture", async () => {
    counts = await hovered("Tokens", () => command("Show or Focus Hover"));
    await shot("hover");
    return page.locator(".monaco-hover:not(.hidden)").filter({ hasText: "Tokens" }).first().isVisible();
  }, 90_000);
  tell("hover", { text: counts });
  await page.keyboard.press("Escape");

  await palette("Inkling: ");
  await shot("palette");
  const titles = ["Summarize Selection", "Continue Writing Here", "Ask This Document…", "Show Token Boundaries", "Why No Suggestion?",
    "Choose Model…", "Engine Status", "Restart the Engine", "Restart the Language Server", "Open Log"];
  for (const title of titles) await palette(`Inkling: ${title}`);
  tell("palette", { titles });
  await page.keyboard.press("Escape");
  await page.keyboard.press("Escape");

  await command("Inkling: Choose Model…");
  const rows = page.locator(".quick-input-list .monaco-list-row");
  await rows.filter({ hasText: "classify" }).first().waitFor();
  await page.keyboard.type("classify");
  await page.keyboard.press("Enter");
  await rows.filter({ hasText: "MB" }).first().waitFor();
  tell("models", { text: await page.locator(".quick-input-list").innerText() });
  await shot("choose-model");
  await page.keyboard.press("Escape");

  await command("Inkling: Show Token Boundaries");
  const blue = "rgb(26, 127, 199)"; // as package.json has it
  const marks = () => page.evaluate((colour) => [...document.querySelectorAll(".view-line span")].filter((span) => getComputedStyle(span).color === colour).length, blue);
  await until("token boundaries", async () => (await marks()) > 20);
  tell("token-lens", { marks: await marks() });
  await shot("token-lens");
  await command("Inkling: Show Token Boundaries");
  await command("Notifications: Clear All Notifications"); // that they are off

  // Ghost text: what it said over time is recorded, since no picture can show growth.
  await screen.record();
  const PLACES = {
    "ghost-line": ["        lines = []\n        for item in sor", "        total = 0\n        for item in self.", "        with open(path, encod"],
    "ghost-block": ["    def total(self) -> int:\n        ", "    def remove(self, name: str) -> None:\n        ", "    def __init__(self, name, count):\n        "],
  };
  for (const [name, places] of Object.entries(PLACES)) {
    let shown = "";
    for (const place of places) {
      await page.keyboard.press(`${MODIFIER}+End`);
      await screen.recorded();
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
    const grown = (await screen.recorded()).map(({ ghost }) => ghost).filter(Boolean);
    tell(name, { text: (await ghostText()) || shown, steps: grown.length, grown });
    await shot(name);
    await page.keyboard.press("Escape");
  }

  await open("incident.md");
  await command("Inkling: Ask This Document…");
  await page.locator(".quick-input-widget input").first().fill("What caused the outage?");
  await shot("ask");
  await page.keyboard.press("Enter");
  const cursor = () => page.locator("[id='status.editor.selection']").textContent();
  tell("ask", { place: await until("the answer's place", async () => /selected/.test(await cursor()) && cursor(), 90_000) });
  await shot("answer");
  await command("Notifications: Clear All Notifications");

  await page.keyboard.press(`${MODIFIER}+A`);
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
  tell("page-errors", { errors: screen.failures });
  await browser.close();
}
