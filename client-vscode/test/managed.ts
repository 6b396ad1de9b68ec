/** Nothing is installed: the extension makes an environment of its own. The runner says what pip is to install. */

import * as assert from "node:assert";
import * as fs from "node:fs";
import * as vscode from "vscode";
import { extension, hover, open, cursorAfter, ready, until } from "./editor";

describe("Managed environment", () => {
  it("offers to install the server where there is none", async () => {
    const { status } = await extension();
    assert.strictEqual(await status(), undefined);
    const known = await vscode.commands.getCommands(true);
    assert.ok(known.includes("inkling.installServer"));
  });

  it("tells what pip said when that fails, and holds nothing for installed", async () => {
    const settings = vscode.workspace.getConfiguration("inkling.managed");
    const wheel = settings.get<string>("package");
    const told: unknown[][] = [];
    const real = vscode.window.showErrorMessage;
    Object.assign(vscode.window, { showErrorMessage: async (...said: unknown[]) => void told.push(said) });
    try {
      await settings.update("package", "/nowhere/inkling_ls-9-py3-none-any.whl", vscode.ConfigurationTarget.Global);
      await vscode.commands.executeCommand("inkling.installServer");
      await settings.update("package", wheel, vscode.ConfigurationTarget.Global);
    } finally {
      Object.assign(vscode.window, { showErrorMessage: real });
    }
    assert.match(String(told[0][0]), /pip install ended with 1\. ERROR: .*inkling_ls-9/);
    assert.deepStrictEqual(told[0].slice(1), ["Install", "Open Log"]);
    await vscode.commands.executeCommand("inkling.restart");
    assert.strictEqual(await (await extension()).status(), undefined);
  });

  it("installs it into an environment of its own, and starts it", async () => {
    await vscode.commands.executeCommand("inkling.installServer");
    const { server } = await ready();
    assert.match(fs.readFileSync(`/proc/${server.pid}/cmdline`, "utf8"), /globalStorage\/inkling\.inkling\/server\/bin\//);
    const editor = await open("def total(values):\n    return sum(values)\n", "python");
    await until("a hover", async () => /Tokens/.test(await hover(editor, cursorAfter(editor, "tota"))));
  });
});
