// Chromium, driven by Playwright; both come from outside the project, so the environment says where they are.

const { chromium } = await import(process.env.INKLING_PLAYWRIGHT);

const FLAGS = ["--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run",
  "--disable-background-networking", "--disable-component-update", "--disable-sync"];

export async function browse(url, { viewport = { width: 1280, height: 800 }, prepare = async () => {} } = {}) {
  const browser = await chromium.launch({ executablePath: process.env.CHROMIUM, args: FLAGS });
  const page = await browser.newPage({ viewport });
  page.setDefaultTimeout(60_000);
  await prepare(page);
  await page.goto(url, { timeout: 90_000 });
  return { browser, page };
}
