/** What the tests share: documents, the extension's own account of the server, and waiting for a condition. */

import * as assert from "node:assert";
import * as vscode from "vscode";
import type { Api } from "../src/extension";
import type { Status } from "../src/status";

const PATIENCE_MS = 45_000;

/** The first truthy value of `probe`; fails with `what` when there is none in time. What it throws counts as falsy. */
export async function until<T>(what: string, probe: () => T | undefined | false | Thenable<T | undefined | false>): Promise<T> {
  const end = Date.now() + PATIENCE_MS;
  let last: unknown;
  do {
    try {
      const value = await probe();
      if (value) {
        return value;
      }
      last = value;
    } catch (error) {
      last = error;
    }
    await new Promise((resolve) => setTimeout(resolve, 50));
  } while (Date.now() < end);
  assert.fail(`never: ${what} (last: ${String(last)})`);
}

/** The extension as other extensions see it. */
export async function extension(): Promise<Api> {
  const found = vscode.extensions.getExtension<Api>("inkling.inkling");
  assert.ok(found, "the extension is installed");
  return found.activate();
}

/** The server's status, once both it and the engine are up. */
export async function ready(unlike?: Status): Promise<Status> {
  const { status } = await extension();
  return until("server and engine are up", async () => {
    const now = await status();
    const fresh = now?.server.pid !== unlike?.server.pid || now?.engine.pid !== unlike?.engine.pid;
    return now?.engine.state === "ready" && now.engine.pid && fresh ? now : undefined;
  });
}

/** What error messages say, with their buttons, while `run` runs; nobody presses one. */
export async function told(run: (told: unknown[][]) => Promise<void>): Promise<unknown[][]> {
  const said: unknown[][] = [];
  const real = vscode.window.showErrorMessage;
  Object.assign(vscode.window, { showErrorMessage: async (...words: unknown[]) => void said.push(words) });
  try {
    await run(said);
  } finally {
    Object.assign(vscode.window, { showErrorMessage: real });
  }
  return said;
}

export function isAlive(pid: number): boolean {
  try {
    return process.kill(pid, 0);
  } catch {
    return false;
  }
}

export async function open(text: string, language: string): Promise<vscode.TextEditor> {
  const document = await vscode.workspace.openTextDocument({ content: text, language });
  return vscode.window.showTextDocument(document);
}

/** Put the cursor behind the first occurrence of `needle`. */
export function cursorAfter(editor: vscode.TextEditor, needle: string): vscode.Position {
  const place = editor.document.positionAt(editor.document.getText().indexOf(needle) + needle.length);
  editor.selection = new vscode.Selection(place, place);
  return place;
}

export function whole(document: vscode.TextDocument): vscode.Range {
  return new vscode.Range(new vscode.Position(0, 0), document.positionAt(document.getText().length));
}

export async function hover(editor: vscode.TextEditor, place: vscode.Position): Promise<string> {
  const found = await vscode.commands.executeCommand<vscode.Hover[]>("vscode.executeHoverProvider", editor.document.uri, place);
  return found.flatMap((one) => one.contents.map((part) => (typeof part === "string" ? part : part.value))).join("\n");
}

export async function actions(document: vscode.TextDocument, range: vscode.Range, resolve = 0): Promise<vscode.CodeAction[]> {
  return vscode.commands.executeCommand("vscode.executeCodeActionProvider", document.uri, range, undefined, resolve);
}

export function squiggles(document: vscode.TextDocument): vscode.Diagnostic[] {
  return vscode.languages.getDiagnostics(document.uri).filter(({ source }) => source?.startsWith("inkling: "));
}

export function squiggled(document: vscode.TextDocument): vscode.Diagnostic[] | undefined {
  const found = squiggles(document);
  return found.length > 0 ? found : undefined;
}
