// Usage: surfaces.mjs HOST:PORT WORKSPACE PICTURES MASKED_MODEL. A picture of each surface that a rule or a model shows on, in VS
// Code, on the example workspace; the settings name a model that translates. Prints one line of JSON for each: what was read from
// the screen. One that fails does not keep the others from being taken.

import { mkdirSync, readFileSync, writeFileSync } from "node:fs";
import { MODIFIER, openScreen } from "./screen.mjs";

const [host, workspace, pictures, masked] = process.argv.slice(2);
mkdirSync(pictures, { recursive: true });
const WIDTH = 900;
const TITLE_BAR = 36;
const screen = await openScreen(host, workspace, { width: WIDTH, height: 560 });
const { browser, page, editor, until, command, open, goTo } = screen;
const failed = [];

/** The text of the files that are open, as it stands on the screen. */
const text = async () => (await page.locator(".editor-instance .view-lines").allInnerTexts()).join("\n").replaceAll("\u00a0", " ");
const said = (has) => until(has, async () => (await text()).includes(has) && text());

/** Take what is above the pixel row `end`, once `show` has brought the surface onto the screen; it returns what that says. */
async function picture(name, end, show, start = TITLE_BAR) {
  try {
    const seen = await show();
    await page.mouse.move(WIDTH - 20, 8); // out of the way of what it would point at
    await page.waitForTimeout(700); // what fades in has done so
    await page.screenshot({ path: `${pictures}/${name}.png`, clip: { x: 0, y: start, width: WIDTH, height: end - start } });
    console.log(JSON.stringify({ check: name, text: seen }));
  } catch (error) {
    failed.push(`${name}: ${error}`);
    await command("Notifications: Show Notifications"); // an error may stand there
    await page.waitForTimeout(700);
    await page.screenshot({ path: `${pictures}/failed-${name}.png` });
  }
  await page.keyboard.press("Escape");
  await page.keyboard.press("Escape");
}

/** The quick fixes and actions at the cursor, or for what `select` selects, once they have what `has` says. */
async function actions(has, select = async () => {}) {
  const menu = page.locator(".action-widget").filter({ hasText: has });
  await until(`an action "${has}"`, async () => {
    await page.keyboard.press("Escape"); // which ends a selection, too
    await select();
    await page.keyboard.press(`${MODIFIER}+.`);
    await menu.waitFor({ timeout: 4_000 }).catch(() => {});
    return menu.isVisible();
  }, 90_000);
  return menu;
}

/** The editor alone on the screen, with one file. */
async function only(name) {
  await command("View: Close All Editors");
  await open(name);
}

await screen.ready();
await command("View: Toggle Primary Side Bar Visibility");

await picture("rule-marks", 380, async () => {
  await only("notes.md");
  await until("marks", async () => (await editor.locator(".squiggly-error").count()) > 0 && (await editor.locator(".squiggly-warning").count()) > 0, 120_000);
  return said("food and cooking");
});

await picture("rule-redact", 370, async () => {
  await goTo(3, 25);
  return (await actions("Redact")).innerText();
});

await picture("rule-actions", 370, async () => {
  const select = async () => {
    await goTo(4, 1);
    await page.keyboard.press("Shift+End");
  };
  return (await actions("What is the tone", select)).innerText();
});

await picture("rule-why", 440, async () => {
  await goTo(6, 8);
  const menu = await actions("Why this?");
  await menu.locator(".monaco-list-row").filter({ hasText: "Why this?" }).first().click();
  return said("moved the score by");
});

await picture("rule-code-lens", 345, async () => {
  await only("app.py");
  const lens = editor.locator(".codelens-decoration").filter({ hasText: "admits a debt" });
  await lens.waitFor({ timeout: 90_000 });
  return lens.innerText();
});

await picture("rule-hover", 290, async () => {
  await only("mail.txt");
  const hover = page.locator(".monaco-hover:not(.hidden)").filter({ hasText: "Prompt injection?" }).first();
  return until("the hover", async () => {
    await goTo(1, 12);
    await command("Show or Focus Hover");
    return hover.innerText({ timeout: 4_000 }).catch(() => "");
  }, 90_000);
});

await picture("chat-lens", 360, async () => {
  await only("refund.json");
  const lens = editor.locator(".codelens-decoration").filter({ hasText: "token" });
  await lens.nth(3).waitFor({ timeout: 90_000 });
  return (await lens.allInnerTexts()).join(" ");
});

await picture("chat-preview", 310, async () => {
  await command("Inkling: Preview Chat Template");
  return said("<|");
});

await picture("search-by-meaning", 300, async () => {
  await only("app.py");
  await command("Inkling: Search by Meaning…");
  const asked = page.locator(".quick-input-widget").filter({ hasText: "by meaning" });
  await asked.waitFor();
  await asked.locator("input").first().fill("sum the lines of a file");
  await page.keyboard.press("Enter");
  const found = page.locator(".quick-input-widget").filter({ has: page.getByPlaceholder("Places for") });
  await found.locator(".monaco-list-row").first().waitFor();
  return page.locator(".quick-input-list").innerText();
}, 0);

await picture("symbols-by-meaning", 300, async () => {
  await only("notes.md");
  const asked = page.locator(".quick-input-widget input").first();
  const found = page.locator(".quick-input-list .monaco-list-row").filter({ hasText: "?sum" }).first();
  await until("a symbol", async () => {
    await page.keyboard.press("Escape");
    await page.keyboard.press(`${MODIFIER}+T`);
    await asked.fill("#?sum+the+lines+of+a+file");
    return found.waitFor({ timeout: 5_000 }).then(() => true, () => false);
  });
  return page.locator(".quick-input-list").innerText();
}, 0);

await picture("find-similar", 400, async () => {
  await only("notes.md");
  await goTo(11, 1);
  await page.keyboard.press("Shift+End");
  await page.keyboard.press("Shift+End"); // the first time ends where the line is wrapped
  await command("Inkling: Find Similar to Selection");
  const found = page.locator(".quick-input-widget").filter({ has: page.getByPlaceholder("Similar to the selection") });
  await found.locator(".monaco-list-row").first().waitFor({ timeout: 60_000 });
  return page.locator(".quick-input-list").innerText();
}, 0);

await picture("compare-tokenizers", 430, async () => {
  await only("words.md");
  await command("Inkling: Compare Tokenizers");
  return said("starter:tone");
});

// No masked model ships: from here on the workspace names the one that the test has made.
const settings = `${workspace}/inkling.toml`;
writeFileSync(settings, readFileSync(settings, "utf-8").replace(/^# model = .*$/m, `model = ${JSON.stringify(masked)}`));

await picture("mask-completion", 270, async () => {
  await only("words.md");
  await goTo(5, 23);
  const list = page.locator(".suggest-widget.visible .monaco-list-row");
  await until("completions", async () => {
    await page.keyboard.press("Escape");
    await page.keyboard.press(`${MODIFIER}+Space`);
    await list.filter({ hasText: /^(cold|cool)/ }).first().waitFor({ timeout: 4_000 }).catch(() => {});
    return (await list.count()) > 0;
  }, 90_000);
  return (await list.allInnerTexts()).join(" ");
});

await picture("better-word", 300, async () => {
  await only("words.md");
  await goTo(3, 19);
  return (await actions("hot")).innerText();
});

// The last, since VS Code keeps its preview open, whatever is opened beside it.
await picture("translation-preview", 540, async () => {
  await only("words.md");
  const select = async () => {
    await goTo(3, 1);
    await page.keyboard.press("Shift+End");
  };
  const menu = await actions("Translate selection into German", select);
  const row = menu.locator(".monaco-list-row").filter({ hasText: "Translate selection into German" });
  await until("its row in focus", async () => {
    await page.keyboard.press("ArrowDown");
    return row.and(page.locator(".focused")).isVisible();
  });
  await page.keyboard.press(`${MODIFIER}+Enter`); // VS Code's own key for a preview
  const panel = page.locator(".bulk-edit-panel");
  await panel.locator(".monaco-list-row").nth(1).waitFor({ timeout: 60_000 }); // below the file's, the edit's
  return panel.innerText();
});

console.log(JSON.stringify({ check: "page-errors", errors: screen.failures }));
await browser.close();
if (failed.length) {
  console.error(failed.join("\n"));
  process.exit(1);
}
