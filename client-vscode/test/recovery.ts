/** Servers and engines end: killed here by their process ids, as the system might. */

import * as assert from "node:assert";
import * as fs from "node:fs";
import * as path from "node:path";
import * as vscode from "vscode";
import { ErrorCodes, HoverRequest, ResponseError } from "vscode-languageclient/node";
import { Session } from "../src/session";
import { cursorAfter, extension, hover, isAlive, open, ready, squiggles, told, until } from "./editor";

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
    assert.ok(!isAlive(before.server.pid), "the old server is gone");
  });

  it("starts a killed server again", async () => {
    const before = await ready();
    process.kill(before.server.pid, "SIGKILL");
    const after = await ready(before);
    assert.strictEqual(after.engine.pid, before.engine.pid, "the engine outlives a server");
    await works("Again");
  });

  it("says nothing of a request that met a server that had just ended, and shows what else fails", async () => {
    const session = new Session({ command: "sleep", args: ["60"], cwd: "/" }, {}, () => undefined);
    const fail = (code: number) => {
      try {
        session.client.handleFailedRequest(HoverRequest.type, undefined, new ResponseError(code, "write EPIPE"), null);
      } catch {
        // what asked is told in any case
      }
    };
    const said = await told(async () => fail(ErrorCodes.MessageWriteError));
    const shown = await told(async () => fail(ErrorCodes.InternalError));
    await session.stop(() => undefined);
    assert.strictEqual(shown.length, 1);
    assert.deepStrictEqual(said, []);
  });

  it("starts a killed engine again", async () => {
    const before = await ready();
    process.kill(before.engine.pid!, "SIGKILL");
    await works("Engine");
    const after = await ready(before);
    assert.strictEqual(after.server.pid, before.server.pid, "the server stays");
    assert.notStrictEqual(after.engine.pid, before.engine.pid);
  });

  it("ends a server that never answers, says why, and gets past it", async () => {
    const settings = vscode.workspace.getConfiguration("inkling");
    const set = (key: string, value: unknown) => settings.update(key, value, vscode.ConfigurationTarget.Global);
    const command = settings.get<string[]>("command");
    const file = path.join(process.env.HOME!, "silent");
    const other = (last?: number) => until("a silent server", () => fs.existsSync(file) && [Number(fs.readFileSync(file, "utf8"))].find((pid) => pid && pid !== last));
    let first = 0;
    let second = 0;
    const said = await told(async (sofar) => {
      await set("command", ["sh", "-c", `echo $$ > ${file}; exec sleep 1000`]); // restarts by itself
      first = await other();
      void vscode.commands.executeCommand("inkling.restart");
      second = await other(first);
      await until("the first one's end", () => !isAlive(first));
      assert.deepStrictEqual(sofar, [], "a restart that was asked for is no error");
      await set("startTimeout", 1);
      await vscode.commands.executeCommand("inkling.restart");
      assert.strictEqual(await (await extension()).status(), undefined);
      assert.ok(!isAlive(second) && !isAlive(await other(second)), "none is left");
      await set("startTimeout", undefined);
      await set("command", command);
      await ready();
    });
    assert.deepStrictEqual(said, [["Inkling: The language server has not answered for 1 s and was ended.", "Restart", "Open Log"]]);
    await works("Past");
  });

  it("tells the last words of a server that ends before it has answered", async () => {
    const settings = vscode.workspace.getConfiguration("inkling");
    const command = settings.get<string[]>("command");
    const said = await told(async (sofar) => {
      await settings.update("command", ["sh", "-c", "echo No module named inkling >&2; exit 3"], vscode.ConfigurationTarget.Global);
      await until("a word", () => sofar.length > 0);
      await settings.update("command", command, vscode.ConfigurationTarget.Global);
      await ready();
    });
    assert.deepStrictEqual(said, [["Inkling: The language server ended with code 3. No module named inkling", "Restart", "Open Log"]]);
  });

  it("gives up on a server that keeps ending, until it is asked", async () => {
    const { status } = await extension();
    await vscode.commands.executeCommand("inkling.restart");
    const said = await told(async () => {
      for (let kills = 1; kills <= 5; kills++) {
        const pid = await until("a server", async () => (await status())?.server.pid);
        process.kill(pid, "SIGKILL");
        await until("its end", async () => (await status().catch(() => undefined))?.server.pid !== pid);
      }
      await new Promise((resolve) => setTimeout(resolve, 3_000)); // that nothing starts can only be seen by waiting
    });
    assert.strictEqual(await status(), undefined);
    assert.strictEqual(said.length, 1, "it is told once");
    assert.match(String(said[0][0]), /ended 5 times within three minutes\. The language server ended with SIGKILL/);
    assert.deepStrictEqual(said[0].slice(1), ["Restart", "Open Log"]);
    await vscode.commands.executeCommand("inkling.restart");
    await works("Asked");
  });
});
