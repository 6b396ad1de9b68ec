// Usage: latency.mjs HOST:PORT WORKSPACE TRIES. Types, and prints one line of JSON: for each try, the milliseconds by the
// page's own clock from the keystroke to the first frame that shows ghost text; and what the editor says of our start.

import { MODIFIER, openScreen } from "./screen.mjs";

const [host, workspace, tries] = process.argv.slice(2);
const screen = await openScreen(host, workspace);
const { browser, page } = screen;
try {
  await screen.ready();
  await screen.open("typed.js");
  await screen.record();
  const ghost = () => page.evaluate(() => window.inklingRecord.some(({ ghost }) => ghost));
  // VS Code makes its ghost text's part when it is idle after the first editor opened; keys before that ask nothing.
  await screen.until("VS Code's ghost text", async () => {
    await page.keyboard.press("Enter");
    return screen.until("a first one", ghost, 5_000).catch(() => false);
  });
  const shown = [];
  for (let number = 0; number < Number(tries); number++) {
    await page.keyboard.press(`${MODIFIER}+A`);
    await page.keyboard.press("Delete");
    await screen.type(`step${number}();`, 20);
    await page.waitForTimeout(300);
    await screen.recorded();
    await page.keyboard.press("Enter");
    await screen.until("ghost text", ghost, 20_000);
    const record = await screen.recorded();
    const key = record.findLast(({ key }, at) => key === "Enter" && record.slice(at).some(({ ghost }) => ghost));
    shown.push(record.find(({ at, ghost }) => ghost && at >= key.at).at - key.at);
  }
  await page.setViewportSize({ width: 1180, height: 2000 }); // the list has rows only for what it shows, the slowest first
  await screen.command("Developer: Show Running Extensions");
  const own = page.locator(".extension").filter({ hasText: "inkling" }).first();
  const activation = await own.locator(".activation-time").innerText();
  console.log(JSON.stringify({ shown, activation }));
} finally {
  await browser.close();
}
