// Usage: latency.mjs HOST:PORT WORKSPACE TRIES. Types, takes what is offered, and prints one line of JSON: for each try, by the
// page's own clock in milliseconds since 1970, the keystroke and the first frame that shows ghost text; and what the editor says
// of our start. With no tries, that alone.

import { MODIFIER, openScreen } from "./screen.mjs";

const [host, workspace, tries] = process.argv.slice(2);
const screen = await openScreen(host, workspace);
const { browser, page } = screen;

/** When Enter was pressed last, and the first ghost text that came after that; undefined while there is none. */
const way = () => page.evaluate(() => {
  const pressed = window.inklingRecord.findLast(({ key }) => key === "Enter");
  const shown = window.inklingRecord.find(({ at, ghost }) => ghost && at >= pressed.at);
  return shown && [pressed, shown].map(({ at }) => performance.timeOrigin + at);
});

async function begin() {
  await screen.open("typed.js");
  await screen.record();
  // VS Code makes its ghost text's part when it is idle after the first editor opened; keys before that ask nothing.
  await screen.until("VS Code's ghost text", async () => {
    await page.keyboard.press("Enter");
    return screen.until("a first one", way, 5_000).catch(() => false);
  });
}

try {
  await screen.ready();
  const shown = [];
  if (Number(tries)) await begin();
  for (let number = 0; number < Number(tries); number++) {
    await page.keyboard.press(`${MODIFIER}+A`);
    await page.keyboard.press("Delete");
    await page.keyboard.insertText(`step${number}();`);
    await page.waitForTimeout(300);
    await screen.recorded();
    await page.keyboard.press("Enter");
    shown.push(await screen.until("ghost text", way, 20_000));
    await page.keyboard.press("Tab"); // for who takes none of five is asked less and less often, and
    await page.waitForTimeout(300); // that it was taken is seen by the next request
  }
  await page.setViewportSize({ width: 1180, height: 2000 }); // the list has rows only for what it shows, the slowest first
  await screen.command("Developer: Show Running Extensions");
  const own = page.locator(".extension").filter({ hasText: "inkling" }).first();
  const activation = await own.locator(".activation-time").innerText();
  console.log(JSON.stringify({ shown, activation }));
} finally {
  await browser.close();
}
