/** Servers and engines end: killed here by their process ids, as the system might. */

import * as assert from "node:assert";
import * as vscode from "vscode";
import { cursorAfter, extension, hover, open, ready, squiggles, until } from "./editor";

async function works(word: string): Promise<void> {
  const editor = await open(`${word} is a bad sentence, and the model says so.\n`, "markdown");
  await until("a hover", () => hover(editor, cursorAfter(editor, word.slice(0, 2))));
  await until("a squiggle", () => squiggles(editor.document).length > 0);
}

describe("Recovery", () => {
  it("restarts on request", async () => {
    const before = await ready();
    await vscode.commands.executeCommand("inkling.restart");
    const after = await ready(before);
    assert.notStrictEqual(after.server.pid, before.server.pid);
    await works("Restarted");
  });

  it("makes one server of many restarts at once", async () => {
    const before = await ready();
    await Promise.all([1, 2, 3].map(() => vscode.commands.executeCommand("inkling.restart")));
    assert.notStrictEqual((await ready(before)).server.pid, before.server.pid);
    assert.throws(() => process.kill(before.server.pid, 0), "the old server is gone");
  });

  it("starts a killed server again", async () => {
    const before = await ready();
    process.kill(before.server.pid, "SIGKILL");
    const after = await ready(before);
    assert.strictEqual(after.engine.pid, before.engine.pid, "the engine outlives a server");
    await works("Again");
  });

  it("starts a killed engine again", async () => {
    const before = await ready();
    process.kill(before.engine.pid!, "SIGKILL");
    await works("Engine");
    const after = await ready(before);
    assert.strictEqual(after.server.pid, before.server.pid, "the server stays");
    assert.notStrictEqual(after.engine.pid, before.engine.pid);
  });

  it("gives up on a server that keeps ending, until it is asked", async () => {
    const { status } = await extension();
    await vscode.commands.executeCommand("inkling.restart");
    for (let kills = 1; kills <= 5; kills++) {
      const pid = await until("a server", async () => (await status())?.server.pid);
      process.kill(pid, "SIGKILL");
      await until("its end", async () => (await status().catch(() => undefined))?.server.pid !== pid);
    }
    await new Promise((resolve) => setTimeout(resolve, 3_000)); // that nothing starts can only be seen by waiting
    assert.strictEqual(await status(), undefined);
    await vscode.commands.executeCommand("inkling.restart");
    await works("Asked");
  });
});
