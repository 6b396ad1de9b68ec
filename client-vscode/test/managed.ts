/** Nothing is installed: the extension makes an environment of its own. The runner says what pip is to install. */

import * as assert from "node:assert";
import * as fs from "node:fs";
import * as path from "node:path";
import * as vscode from "vscode";
import { cursorAfter, extension, hover, open, ready, told, until } from "./editor";

const settings = () => vscode.workspace.getConfiguration("inkling.managed");
const install = () => vscode.commands.executeCommand("inkling.installServer");
/** Install with one setting changed. */
async function installWith(key: string, value: string): Promise<void> {
  const before = settings().get(key);
  await settings().update(key, value, vscode.ConfigurationTarget.Global);
  await install();
  await settings().update(key, before, vscode.ConfigurationTarget.Global);
}
/** Where a server runs from. */
const program = (pid: number) => fs.readFileSync(`/proc/${pid}/cmdline`, "utf8").split("\0").find((part) => part.endsWith("/inkling"))!;
const environments = (inkling: string) => fs.readdirSync(path.resolve(inkling, "../../.."));

describe("Managed environment", () => {
  it("offers to install the server where there is none", async () => {
    const { status } = await extension();
    assert.strictEqual(await status(), undefined);
    const known = await vscode.commands.getCommands(true);
    assert.ok(known.includes("inkling.installServer"));
  });

  it("says what it needs where there is no Python, and holds nothing for installed", async () => {
    const said = await told(() => installWith("python", "/nowhere/python"));
    assert.match(String(said[0][0]), /\/nowhere\/python is not Python 3\.11 or newer/);
    assert.deepStrictEqual(said[0].slice(1), ["Install", "Open Log"]);
    await told(async () => void (await vscode.commands.executeCommand("inkling.restart")));
    assert.strictEqual(await (await extension()).status(), undefined);
  });

  it("installs it into one environment of its own, asked twice at once, and starts it", async () => {
    await Promise.all([install(), install()]);
    const { server } = await ready();
    const inkling = program(server.pid);
    assert.match(inkling, /globalStorage\/inkling\.inkling\/servers\/env-\w+\/bin\/inkling$/);
    assert.strictEqual(environments(inkling).length, 1);
    const editor = await open("def total(values):\n    return sum(values)\n", "python");
    await until("a hover", async () => /Tokens/.test(await hover(editor, cursorAfter(editor, "tota"))));
  });

  it("tells what pip said when that fails, and the server that runs goes on", async () => {
    const before = await ready();
    const inkling = program(before.server.pid);
    const said = await told(() => installWith("package", "/nowhere/inkling_ls-9-py3-none-any.whl"));
    assert.match(String(said[0][0]), /pip install ended with 1\. ERROR: .*inkling_ls-9/);
    assert.deepStrictEqual(said[0].slice(1), ["Install", "Open Log"]);
    assert.strictEqual((await ready()).server.pid, before.server.pid);
    await vscode.commands.executeCommand("inkling.restart");
    const after = await ready(before);
    assert.strictEqual(program(after.server.pid), inkling, "the environment that works is still in use");
    assert.strictEqual(environments(inkling).length, 1, "nothing is left of the one that does not");
  });
});
