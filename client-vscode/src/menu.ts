/** The menu behind the status bar item, and the list of all that the server can do. */

import * as vscode from "vscode";
import { modelLine, type Status } from "./status";

interface Entry extends vscode.QuickPickItem {
  readonly run?: () => unknown;
}

export async function showMenu(status: Status | undefined): Promise<void> {
  const command = (label: string, id: string, ...rest: unknown[]): Entry => ({
    label,
    run: () => vscode.commands.executeCommand(id, ...rest),
  });
  const entries: Entry[] = [
    ...(status?.engine.models ?? []).map((model) => ({ label: `$(database) ${modelLine(model)}` })),
    ...(status?.plugins ?? [])
      .filter((plugin) => plugin.reason === "failing")
      .map((plugin) => command(`$(plug) Enable ${plugin.name} Again`, "inkling.enablePlugin", { name: plugin.name })),
    { label: "", kind: vscode.QuickPickItemKind.Separator },
    ...(status
      ? [
          command("$(replace-all) Choose Model…", "inkling.chooseModel"),
          command("$(question) Why No Suggestion?", "inkling.whyNothing"),
          command("$(list-unordered) Run a Command of the Server…", "inkling.runCommand"),
          command("$(refresh) Restart the Engine", "inkling.restartEngine"),
        ]
      : []),
    command("$(debug-restart) Restart the Language Server", "inkling.restart"),
    command("$(output) Open Log", "inkling.showLog"),
    command("$(gear) Settings", "workbench.action.openSettings", "inkling"),
  ];
  const title = status ? `Inkling · text goes to ${status.text.goes}` : "Inkling";
  const picked = await vscode.window.showQuickPick(entries, { title });
  await picked?.run?.();
}

/** Every command that the server offers, those of plugins from elsewhere included. */
export async function runCommand(offered: readonly string[]): Promise<void> {
  const ids = offered.filter((id) => id !== "inkling.applyAction").sort();
  const picked = await vscode.window.showQuickPick(
    ids.map((id) => ({ label: words(id), description: id })),
    { title: "Inkling: commands of the server" },
  );
  if (picked) {
    await vscode.commands.executeCommand(picked.description);
  }
}

/** `inkling.summarize.file` → "Summarize file". */
function words(id: string): string {
  const name = id.replace(/^inkling\./, "").replace(/[._]/g, " ").replace(/([a-z])([A-Z])/g, (_, a, b) => `${a} ${b.toLowerCase()}`);
  return name.charAt(0).toUpperCase() + name.slice(1);
}
