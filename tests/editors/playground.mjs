// A person at the playground: what they see of each surface, as one line of JSON.
import { writeFileSync } from "node:fs";
import { browse } from "./browser.mjs";

const [url, pictures] = process.argv.slice(2);
const errors = [];
const { browser, page } = await browse(url, {
  prepare: async page => {
    page.on("pageerror", error => errors.push(String(error)));
    page.on("console", message => message.type() === "error" && errors.push(message.text()));
  },
});
const seen = {};
try {
  await page.waitForSelector(".cm-content");
  await page.waitForFunction(() => document.querySelector("#where").textContent !== "");
  seen.where = await page.textContent("#where");

  await page.selectOption("#sample", "review.md");
  await page.waitForSelector(".cm-lintRange");
  seen.squiggles = await page.locator(".cm-lintRange").count();
  await page.locator(".cm-lintRange").first().hover();
  await page.waitForSelector(".cm-diagnostic");
  seen.diagnostic = await page.locator(".cm-diagnosticText").first().textContent();
  if (pictures) await page.screenshot({ path: `${pictures}/playground-squiggle.png` });
  await page.locator(".cm-diagnosticAction").first().click();
  await page.waitForSelector("#menu[open] button");
  seen.fixes = await page.locator("#menu button").allTextContents();
  await page.keyboard.press("Escape");

  await page.selectOption("#sample", "inventory.py");
  await page.locator(".cm-line").nth(2).hover();
  await page.waitForSelector(".cm-lsp-hover-tooltip, .cm-tooltip-hover");
  seen.hover = await page.locator(".cm-lsp-hover-tooltip, .cm-tooltip-hover").first().textContent();
  if (pictures) await page.screenshot({ path: `${pictures}/playground-hover.png` });

  await page.locator(".cm-content").click();
  await page.keyboard.press("Control+End");
  await page.keyboard.type("\n\ndef total(items):\n    return sum(", { delay: 30 });
  await page.keyboard.press("Alt+\\");
  await page.waitForSelector(".cm-ghost");
  seen.ghost = await page.textContent(".cm-ghost");
  if (pictures) await page.screenshot({ path: `${pictures}/playground-ghost.png` });
  const before = await page.evaluate(() => inkling.view.state.doc.length);
  await page.keyboard.press("Tab");
  seen.accepted = await page.evaluate(() => inkling.view.state.doc.length) - before;
  seen.tail = await page.evaluate(() => inkling.view.state.doc.toString().slice(-60));

  await page.keyboard.press("Control+.");
  await page.waitForSelector("#menu[open] button");
  seen.actions = await page.locator("#menu button").allTextContents();
  await page.keyboard.press("Escape");
  await page.click("#why");
  await page.waitForFunction(() => document.querySelector("#message").textContent !== "");
  seen.why = await page.textContent("#message");
} catch (error) {
  seen.failed = String(error);
  if (pictures) await page.screenshot({ path: `${pictures}/playground-failed.png` });
}
seen.errors = errors;
console.log(JSON.stringify(seen));
await browser.close();
