/** Every surface, through the functions that VS Code itself offers to extensions. Models are scripted; see the runner. */

import * as assert from "node:assert";
import * as fs from "node:fs";
import * as path from "node:path";
import * as vscode from "vscode";
import { actions, cursorAfter, extension, hover, isAlive, open, ready, squiggled, squiggles, until, whole } from "./editor";

const PROSE = "This is a bad way to begin a note.\n\nThe rest of it is quite all right and says so.\n";
const GHOST = "orders.sort();\nlet\tlast=orders.pop();\nprinter.feed(3);\nshelf.close();\ndoor.lock();\nlight.off();"; // as the runner scripts it
const WORDS = 7; // the tokens of it

describe("Inkling in VS Code", () => {
  before(() => ready());

  it("starts, and says what runs", async () => {
    const status = await ready();
    assert.ok(status.plugins.length >= 4);
    assert.deepStrictEqual(status.plugins.filter(({ state }) => state !== "ready"), []);
    assert.ok(status.workspace.trusted);
  });

  it("runs where the files are: on the remote side, with its server", async () => {
    const { extensionKind } = vscode.extensions.getExtension("inkling.inkling")!;
    assert.strictEqual(extensionKind, vscode.ExtensionKind.Workspace);
    assert.ok(vscode.env.remoteName, "the window itself is a browser's");
    assert.ok(isAlive((await ready()).server.pid));
  });

  it("registers every command of the palette", async () => {
    const manifest = JSON.parse(fs.readFileSync(path.join(vscode.extensions.getExtension("inkling.inkling")!.extensionPath, "package.json"), "utf8"));
    const known = await vscode.commands.getCommands(true);
    const listed: { command: string; enablement?: string }[] = manifest.contributes.commands;
    const shown = listed.filter(({ command, enablement }) => !enablement?.startsWith("inkling.offers.") || known.includes(command));
    const hidden = listed.filter((one) => !shown.includes(one)).map(({ command }) => command);
    assert.ok(shown.length >= 20, `not registered: ${hidden}`);
    const missing = shown.map(({ command }) => command).filter((id) => !known.includes(id));
    assert.deepStrictEqual(missing, []);
  });

  it("counts tokens on hover", async () => {
    const editor = await open("def total(values):\n    return sum(values)\n", "python");
    const text = await until("a hover", () => hover(editor, cursorAfter(editor, "tota")));
    assert.match(text, /\*\*Tokens\*\* · `total` \d+ .*document \d+/);
  });

  it("marks a sentence, and unmarks it when it is mended", async () => {
    const editor = await open(PROSE, "markdown");
    const [mark] = await until("a squiggle", () => squiggled(editor.document));
    assert.strictEqual(editor.document.getText(mark.range), "This is a bad way to begin a note.");
    assert.match(mark.message, /Reads as bad \(90\s?%\)/);
    const bad = editor.document.positionAt(PROSE.indexOf("bad"));
    await editor.edit((edit) => edit.replace(new vscode.Range(bad, bad.translate(0, 3)), "good"));
    await until("no squiggle", () => squiggles(editor.document).length === 0);
  });

  it("offers a quick fix that ignores the label here", async () => {
    const editor = await open(PROSE, "markdown");
    const [mark] = await until("a squiggle", () => squiggled(editor.document));
    const fix = await until("a quick fix", async () => (await actions(editor.document, mark.range)).find(({ title }) => title === 'Ignore "bad" here'));
    assert.ok(fix.kind?.contains(vscode.CodeActionKind.QuickFix) && fix.edit);
    assert.ok(await vscode.workspace.applyEdit(fix.edit));
    await until("no squiggle", () => squiggles(editor.document).length === 0);
    assert.match(editor.document.getText(), /inkling: ?ignore/);
  });

  it("resolves a code action only when it is chosen, and applies it", async () => {
    const editor = await open(PROSE.replaceAll("bad", "plain"), "markdown");
    const title = "Insert summary above";
    const find = (resolve: number) => async () => (await actions(editor.document, whole(editor.document), resolve)).find((one) => one.title === title);
    assert.strictEqual((await until("the action", find(0))).edit, undefined);
    const resolved = await until("the resolved action", find(50));
    assert.ok(resolved.edit && (await vscode.workspace.applyEdit(resolved.edit)));
    assert.ok(editor.document.getText().startsWith("This is a plain way to begin a note"), "the summary stands first");
    assert.ok(editor.document.getText().endsWith(PROSE.replaceAll("bad", "plain")), "what was there is unchanged");
  });

  it("runs a palette command on the active editor", async () => {
    const editor = await open(PROSE, "markdown");
    await vscode.commands.executeCommand("inkling.summarize.file");
    const shown = await until("the summary's document", () => {
      const now = vscode.window.activeTextEditor?.document;
      return now !== editor.document && now;
    });
    assert.match(shown.getText(), /- This is a bad way to begin a note/);
  });

  it("shows an explanation while it is written", async () => {
    const editor = await open("def total(values):\n    return sum(values)\n", "python");
    editor.selection = new vscode.Selection(0, 0, 1, 22);
    const seen: string[] = [];
    const look = (document: vscode.TextDocument) => void (document.uri.scheme === "inkling-text" && document.getText().trim() && seen.push(document.getText()));
    const watching = [vscode.workspace.onDidOpenTextDocument(look), vscode.workspace.onDidChangeTextDocument(({ document }) => look(document))];
    const whole = await vscode.commands.executeCommand<string>("inkling.explain");
    await until("all of it", () => seen.at(-1)?.trim() === whole);
    watching.forEach((one) => one.dispose());
    assert.match(whole, /word-0;.*word-19;$/);
    assert.ok(seen.length >= 2 && seen[0].length < whole.length, `it was seen ${seen.length} times`);
    assert.ok(seen.every((text, at) => text.startsWith(seen[at - 1]?.trim() ?? "")), "what was there stays");
    assert.strictEqual(vscode.window.activeTextEditor?.document.uri.scheme, "inkling-text");
  });

  it("shows ghost text of several lines, and takes it", async () => {
    const editor = await open("start();\n", "javascript");
    const { status } = await extension();
    const before = (await status())!.engine.generated_tokens!;
    cursorAfter(editor, "start();\n");
    await vscode.commands.executeCommand("editor.action.inlineSuggest.trigger");
    await until("the whole stream", async () => {
      const { engine } = (await status())!;
      return engine.generated_tokens! - before >= WORDS && engine.active_requests === 0;
    });
    await new Promise((resolve) => setTimeout(resolve, 2_000)); // what is on the screen cannot be asked
    const text = await until("all of it accepted", async () => {
      await vscode.commands.executeCommand("editor.action.inlineSuggest.commit");
      const now = editor.document.getText();
      return now !== "start();\n" && now;
    });
    assert.strictEqual(text, `start();\n${GHOST}`);
  });

  it("takes ghost text word by word, which is not computed again", async () => {
    const editor = await open("begin();\n", "javascript");
    const { status } = await extension();
    cursorAfter(editor, "begin();\n");
    await vscode.commands.executeCommand("editor.action.inlineSuggest.trigger");
    const first = await until("one word", async () => {
      await vscode.commands.executeCommand("editor.action.inlineSuggest.acceptNextWord");
      const added = editor.document.getText().slice("begin();\n".length);
      return added.length > 0 && added;
    });
    assert.ok(GHOST.startsWith(first) && first.length < GHOST.length, JSON.stringify(first));
    await until("the stream's end", async () => (await status())!.engine.active_requests === 0);
    const asked = (await status())!.engine.generated_tokens!;
    await until("some of the rest", async () => {
      await vscode.commands.executeCommand("editor.action.inlineSuggest.trigger");
      await vscode.commands.executeCommand("editor.action.inlineSuggest.acceptNextWord");
      return editor.document.getText().includes("last");
    });
    assert.ok(`begin();\n${GHOST}`.startsWith(editor.document.getText()));
    const extra = (await status())!.engine.generated_tokens! - asked;
    assert.ok(extra < WORDS, `${extra} tokens more, as many as the suggestion has`);
  });

  it("completes a mask", async () => {
    const editor = await open("It was a [MASK] day, and we walked.\n", "markdown");
    const place = cursorAfter(editor, "[MASK]");
    const found = await until("a completion", async () => {
      const { items } = await vscode.commands.executeCommand<vscode.CompletionList>("vscode.executeCompletionItemProvider", editor.document.uri, place);
      return items.find(({ label }) => label === "word");
    });
    assert.strictEqual(found.detail, "50%");
  });

  it("finds places in every folder of the workspace by a question, with one server, and in a folder that is added", async () => {
    const before = await ready();
    const finds = (...names: string[]) =>
      until(`places in ${names}`, async () => {
        const found = await vscode.commands.executeCommand<vscode.SymbolInformation[]>("vscode.executeWorkspaceSymbolProvider", "?turn+the+crank");
        // VS Code's own list keeps what has the letters that were typed, and sorts what has them equally by the rest
        found.forEach(({ name }, rank) => assert.ok(name.startsWith(`?turn+the+crank ${String(rank + 1).padStart(2, "0")} `), name));
        return names.every((name) => found.some(({ location }) => path.basename(location.uri.fsPath) === name));
      });
    const folders = vscode.workspace.workspaceFolders!;
    assert.strictEqual(folders.length, 2);
    await finds("part0.py", "part1.py");
    const third = vscode.Uri.joinPath(folders[1].uri, "..", "third");
    assert.ok(vscode.workspace.updateWorkspaceFolders(folders.length, 0, { uri: third }));
    await finds("part0.py", "part1.py", "part2.py");
    assert.strictEqual((await ready()).server.pid, before.server.pid);
  });

  it("draws token boundaries: semantic tokens and inlay hints, while they are wanted", async () => {
    const { document } = await open("def total(values):\n    return sum(values)\n", "python");
    const tokens = async () => {
      const found = await vscode.commands.executeCommand<vscode.SemanticTokens | undefined>("vscode.provideDocumentSemanticTokens", document.uri);
      return (found?.data.length ?? 0) / 5;
    };
    const legend = await vscode.commands.executeCommand<vscode.SemanticTokensLegend>("vscode.provideDocumentSemanticTokensLegend", document.uri);
    assert.ok(legend.tokenTypes.includes("tokenAlternate"));
    const hints = async () => vscode.commands.executeCommand<vscode.InlayHint[]>("vscode.executeInlayHintProvider", document.uri, whole(document));
    await vscode.commands.executeCommand("inkling.token_lens.show");
    const shown = await until("semantic tokens", tokens);
    assert.ok(shown >= 5, `${shown} tokens`);
    const ids = await until("inlay hints", async () => (await hints()).length > 0 && hints());
    assert.ok(ids.every(({ label }) => /\d/.test(String(typeof label === "string" ? label : label[0].value))));
    await vscode.commands.executeCommand("inkling.token_lens.show");
    await until("none", async () => (await tokens()) === 0 && (await hints()).length === 0);
  });

  it("says why there is no suggestion", async () => {
    const editor = await open("one two three\n", "plaintext");
    cursorAfter(editor, "one ");
    const said = await vscode.commands.executeCommand<string>("inkling.whyNothing");
    assert.ok(said.length > 0);
  });

  it("asks for what a command needs, and sends nothing when the user thinks better of it", async () => {
    await open("The change was approved by Ada on Monday.\n", "plaintext");
    const asked: (vscode.InputBoxOptions | undefined)[] = [];
    const answers = [undefined, "  ", "Who approved the change?"];
    const real = vscode.window.showInputBox;
    Object.assign(vscode.window, { showInputBox: async (options?: vscode.InputBoxOptions) => answers[asked.push(options) - 1] });
    try {
      assert.strictEqual(await vscode.commands.executeCommand("inkling.ask.document"), undefined);
      assert.strictEqual(await vscode.commands.executeCommand("inkling.ask.document"), undefined);
      const answer = await vscode.commands.executeCommand<string>("inkling.ask.document");
      assert.ok(answer.length > 0);
    } finally {
      Object.assign(vscode.window, { showInputBox: real });
    }
    assert.match(asked[0]!.prompt!, /^Ask this document/);
    assert.strictEqual(asked.length, answers.length);
  });

  it("downloads a model of the hub once the user has agreed to its size, and shows how far it is", async () => {
    const { showInputBox, showInformationMessage, withProgress } = vscode.window;
    const told: string[] = [];
    const shown: { title?: string; cancellable?: boolean; said: string[] }[] = [];
    Object.assign(vscode.window, {
      showInputBox: async () => "org/good",
      showInformationMessage: async (message: string, ...buttons: vscode.MessageItem[]) => (told.push(message), buttons.find(({ title }) => title === "Download")),
      withProgress: (options: vscode.ProgressOptions, task: Parameters<typeof withProgress>[1]) =>
        withProgress(options, (progress, token) => {
          const said: string[] = [];
          shown.push({ ...options, said });
          return task({ report: (value) => (said.push(`${(value as { message?: string }).message}`), progress.report(value)) }, token);
        }),
    });
    try {
      await vscode.commands.executeCommand("inkling.downloadModel");
      await until("the end", () => told.length === 2);
    } finally {
      Object.assign(vscode.window, { showInputBox, showInformationMessage, withProgress });
    }
    assert.match(told[0], /^Download 30\.0 MB in 5 files from http:\S+ \(org\/good, licence: apache-2\.0\)\?$/);
    assert.match(told[1], /org\/good is here and whole: 30\.0 MB, for text-classification/);
    const bar = shown.find(({ title }) => title === "Downloading org/good");
    assert.ok(bar?.cancellable, JSON.stringify(shown));
    assert.ok(bar.said.some((text) => /[1-9]\d?\.0 of 30\.0 MB/.test(text)), bar.said.join());
  });

  it("offers the models that can do a feature's task, and writes the choice into the user's settings", async () => {
    const seen: (vscode.QuickPickItem & { id?: string })[][] = [];
    const real = vscode.window.showQuickPick;
    const pick = async (items: (vscode.QuickPickItem & { id?: string })[]) =>
      items.find(({ label, id }) => (seen.length === 1 ? label === "search" : id === "starter:encoder"));
    Object.assign(vscode.window, { showQuickPick: (items: vscode.QuickPickItem[]) => (seen.push(items), pick(items)) });
    const settings = () => vscode.workspace.getConfiguration("inkling").inspect<Record<string, { model?: string }>>("settings")!.globalValue!;
    const before = settings();
    try {
      await vscode.commands.executeCommand("inkling.chooseModel");
      assert.deepStrictEqual(settings(), { ...before, search: { ...before.search, model: "starter:encoder" } });
    } finally {
      Object.assign(vscode.window, { showQuickPick: real });
      await vscode.workspace.getConfiguration("inkling").update("settings", before, vscode.ConfigurationTarget.Global);
    }
    const [uses, models] = seen;
    assert.ok(["complete", "classify", "summarize"].every((name) => uses.some(({ label }) => label === name)));
    assert.ok(models.some(({ label, description }) => label === "$(check) starter:encoder" && /MB · apache/.test(description!)));
    assert.ok(!models.some(({ id }) => id === "starter:code"), "a model that cannot do the task is not offered");
  });
});
