// What the scripts share that drive VS Code's screen: waiting, typing, the palette, files, ghost text over time.

import { browse } from "./browser.mjs";

export const MODIFIER = "Control";

export async function openScreen(host, workspace, viewport = { width: 1180, height: 700 }) {
  const { browser, page } = await browse(`http://${host}/?folder=${encodeURIComponent(workspace)}`, { viewport });
  const failures = [];
  page.on("pageerror", (error) => failures.push(String(error)));
  const editor = page.locator(".editor-instance .monaco-editor").first();
  const input = page.locator(".quick-input-widget input").first();
  const rows = page.locator(".quick-input-list .monaco-list-row");
  const focused = rows.and(page.locator(".focused")); // what Enter will take

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

  /** Opens it anew until the command is there: one that is registered later does not come into a list that is open. */
  async function palette(text) {
    const chosen = focused.filter({ hasText: text }).first();
    await until(`the command ${text}`, async () => {
      await page.keyboard.press("F1");
      if (!(await input.isVisible())) {
        return false;
      }
      await input.fill(`>${text}`);
      const there = await chosen.waitFor({ timeout: 5_000 }).then(() => true, () => false);
      if (!there) {
        await page.keyboard.press("Escape");
      }
      return there;
    }, 90_000);
  }

  async function command(text) {
    await palette(text);
    await page.keyboard.press("Enter");
  }

  async function open(name) {
    await until(`the file ${name}`, async () => {
      await page.keyboard.press(`${MODIFIER}+P`);
      await input.fill(name);
      await focused.filter({ hasText: name }).first().waitFor(); // a list not filtered yet has it, too, below what Enter would open
      await page.keyboard.press("Enter");
      return page.locator(".tab.active").filter({ hasText: name }).first().waitFor({ timeout: 5_000 }).then(() => true, () => false);
    });
    await editor.locator(".view-lines").waitFor();
  }

  async function goTo(line, column) {
    await page.keyboard.press(`${MODIFIER}+G`);
    await input.fill(`:${line}:${column}`);
    await page.keyboard.press("Enter");
    await until("the cursor", async () => (await page.locator("[id='status.editor.selection']").textContent())?.includes(`Ln ${line}`));
  }

  async function type(text, pause = 40) {
    for (const character of text) {
      await page.keyboard.type(character);
      await page.waitForTimeout(pause);
    }
  }

  /** Wait for the status bar item, and for the engine. */
  async function ready() {
    await page.locator(".monaco-workbench").waitFor({ timeout: 90_000 });
    await page.waitForFunction(
      () => document.querySelector("[id$='inkling.status']")?.querySelector(".codicon-sparkle, .codicon-pulse"),
      undefined,
      { timeout: 90_000 },
    );
  }

  /**
   * Record in the page, by its own clock, each key pressed, what the status bar says, and each ghost text: when it stood first, and what it says once
   * three frames agree, for its first line and those below are drawn one after the other. "" is noted at its first frame.
   */
  async function record() {
    await page.evaluate(() => {
      const PARTS = ".ghost-text, .ghost-text-decoration, .ghost-text-decoration-preview";
      window.inklingRecord = [];
      let [shown, fresh, since, frames] = ["", "", 0, 0];
      const look = () => {
        const parts = [...document.querySelectorAll(PARTS)].map((part) => ({ place: part.getBoundingClientRect(), said: part.textContent }));
        parts.sort((one, other) => one.place.top - other.place.top || one.place.left - other.place.left);
        const text = parts.map(({ said }) => said).join("").replaceAll("\u00a0", " ").trim();
        if (text !== fresh) [fresh, since, frames] = [text, performance.now(), 0];
        if (fresh !== shown && (++frames >= 3 || fresh === "")) {
          shown = fresh;
          window.inklingRecord.push({ at: since, ghost: shown });
        }
        requestAnimationFrame(look);
      };
      requestAnimationFrame(look);
      const bar = document.querySelector("[id$='inkling.status']");
      const read = () => window.inklingRecord.push({ at: performance.now(), status: bar.textContent.replaceAll("\u00a0", " ").trim() });
      read();
      new MutationObserver(read).observe(bar, { subtree: true, childList: true, characterData: true });
      document.addEventListener("keydown", ({ key }) => window.inklingRecord.push({ at: performance.now(), key }), true);
    });
  }

  /** What was recorded since the last call. */
  const recorded = () => page.evaluate(() => window.inklingRecord.splice(0));

  return { browser, page, failures, editor, until, palette, command, open, goTo, type, ready, record, recorded };
}
