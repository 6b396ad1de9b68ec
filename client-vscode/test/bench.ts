/** What the language client costs: a request's way from the extension and back, beside the server's own log. For the bench. */

import { extension, ready } from "./editor";

const TIMES = 200;

describe("Bench", () => {
  it("asks for the status", async () => {
    await ready();
    const { status, activationMs, loadingMs } = await extension();
    console.log(`activation: ${activationMs}, then ${await loadingMs()}`);
    const taken: number[] = [];
    for (let number = 0; number < TIMES; number++) {
      const began = performance.now();
      await status();
      taken.push(performance.now() - began);
    }
    console.log(`bench: ${JSON.stringify(taken)}`);
  });
});
