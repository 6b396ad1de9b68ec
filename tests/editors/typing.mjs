// Usage: typing.mjs HOST:PORT WORKSPACE SECONDS [FRAMES]. Types at human speed into VS Code, with a model whose words are
// known. Prints one line of JSON for each check: ghost text that grows, then a soak with what the screen showed and when.
// With a folder FRAMES, pictures of the growth go there, named by the milliseconds at which they were taken.

import { mkdirSync } from "node:fs";
import { MODIFIER, openScreen } from "./screen.mjs";

const [host, workspace, seconds, frames] = process.argv.slice(2);
const tell = (check, fields) => console.log(JSON.stringify({ check, ...fields }));
const screen = await openScreen(host, workspace, { width: 900, height: 560 });
const { browser, page } = screen;
const errors = [];
page.on("console", (line) => {
  if (line.type() === "error" && /inkling/i.test(line.text())) errors.push(line.text());
});
const cdp = await page.context().newCDPSession(page);

async function heap() {
  await cdp.send("HeapProfiler.collectGarbage");
  const { metrics } = await cdp.send("Performance.getMetrics");
  return metrics.find(({ name }) => name === "JSHeapUsedSize").value;
}

/** Take pictures until told to stop. */
function film() {
  if (!frames) return async () => {};
  mkdirSync(frames, { recursive: true });
  const began = Date.now();
  let rolling = true;
  const taking = (async () => {
    while (rolling) {
      const name = String(Date.now() - began).padStart(6, "0");
      await page.screenshot({ path: `${frames}/${name}.png`, clip: { x: 48, y: 35, width: 720, height: 300 } });
    }
  })();
  return async () => {
    rolling = false;
    await taking;
  };
}

/** Type a line and wait until what VS Code shows for it has stopped growing. */
async function grow(text) {
  await page.keyboard.press(`${MODIFIER}+End`);
  await screen.type(text);
  const record = [];
  const look = async () => record.push(...(await screen.recorded()));
  const asked = () => look().then(() => record.some(({ ghost, status }) => ghost || status?.includes("%")));
  // VS Code makes its ghost text's part when it is idle, after the first editor opened: keys before that ask nothing.
  for (const end = Date.now() + 60_000; ; await page.keyboard.press("Backspace")) {
    await page.keyboard.press("Enter");
    if (await screen.until("a request", asked, 6_000).catch(() => false)) break;
    if (Date.now() > end) throw new Error("never: a request");
  }
  let [count, since] = [record.length, Date.now()];
  const isQuiet = async () => {
    await look();
    if (record.length > count) [count, since] = [record.length, Date.now()];
    return Date.now() - since > 5_000;
  };
  await screen.until("the end of the growth", isQuiet, 60_000);
  const said = (what) => record.map((event) => event[what]).filter((text) => text !== undefined);
  return { grown: said("ghost"), statuses: said("status") };
}

try {
  await cdp.send("Performance.enable");
  await screen.ready();
  await screen.open("typed.js");
  await page.keyboard.press(`${MODIFIER}+B`); // the side bar goes
  await screen.record();
  const cut = film();
  const grown = await grow("start();");
  await page.keyboard.press("Tab");
  await page.waitForTimeout(600);
  await cut();
  tell("growth", { ...grown, text: (await screen.editor.locator(".view-lines").innerText()).replaceAll("\u00a0", " ") });

  // The soak: lines typed; ghost text is taken, taken by the word, sent away, or typed over.
  await page.keyboard.press(`${MODIFIER}+A`);
  await page.keyboard.press("Delete");
  await screen.recorded();
  const before = await heap();
  const end = Date.now() + Number(seconds) * 1000;
  const record = [];
  const ways = ["Tab", `${MODIFIER}+ArrowRight`, "Escape", ""];
  let lines = 0;
  while (Date.now() < end) {
    await screen.type(`step${lines % 10}();`, 60 + (lines % 5) * 20);
    await page.keyboard.press("Enter");
    // Somebody who waits for the suggestion, and at times somebody who does not.
    const shows = () => page.evaluate(() => Boolean(window.inklingRecord.findLast(({ ghost }) => ghost !== undefined)?.ghost));
    if (lines % 5 < 4) await screen.until("ghost text", shows, 3_000).catch(() => {});
    await page.waitForTimeout(150);
    const way = ways[lines++ % ways.length];
    if (way) await page.keyboard.press(way);
    await page.waitForTimeout(200);
    if (lines % 12 === 0) {
      await page.keyboard.press(`${MODIFIER}+A`);
      await page.keyboard.press("Delete");
    } else {
      await page.keyboard.press(`${MODIFIER}+End`);
      await page.keyboard.press("Enter");
    }
    record.push(...(await screen.recorded()));
  }
  await page.keyboard.press("Escape");
  tell("soak", { lines, record, heapBefore: before, heapAfter: await heap() });
} finally {
  tell("errors", { errors: [...screen.failures, ...errors] });
  await browser.close();
}
