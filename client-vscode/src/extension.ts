/**
 * What VS Code runs when a window opens, kept small: the status bar item and the commands. All else, with the language
 * client, is a second file that is loaded once the window has its turn, and a command waits for that.
 */

import { loadedAt } from "./loaded"; // first of all
import * as vscode from "vscode";
import type { Controller } from "./controller";
import { ALIASES } from "./palette";
import { type Status, StatusItem } from "./status";

let loading: Promise<Controller> | undefined;
const evaluationMs = performance.now() - loadedAt;

/** For other extensions, and the tests. */
export interface Api {
  /** The server's answer to `inkling/status`; undefined while no server runs. */
  status(): Promise<Status | undefined>;
  /** Milliseconds that this file and its `activate` ran; not those in which VS Code had other things to do between the two. */
  activationMs: number;
  /** Those that the rest takes to load after that. */
  loadingMs(): Promise<number>;
}

export function activate(context: vscode.ExtensionContext): Api {
  const began = performance.now();
  const log = vscode.window.createOutputChannel("Inkling", { log: true });
  const status = new StatusItem();
  let loadingMs = 0;
  const load = async () => {
    const began = performance.now();
    const { Controller } = await import("./controller.js");
    const made = new Controller(context.globalStorageUri, log, status);
    loadingMs = performance.now() - began;
    context.subscriptions.push(made);
    void made.restart();
    return made;
  };
  const controller = () =>
    (loading ??= load().catch((error) => {
      loading = undefined; // asked for again, it is tried again
      status.say("failed", `could not be loaded: ${error}. Reload the window, or install the extension again.`);
      throw error;
    }));
  const command = (id: string, run: (control: Controller) => unknown) =>
    vscode.commands.registerCommand(`inkling.${id}`, async () => run(await controller()));
  context.subscriptions.push(
    log,
    status,
    vscode.commands.registerCommand("inkling.showLog", () => log.show()),
    command("restart", (control) => control.restartAnew()),
    command("showStatus", (control) => control.showMenu()),
    command("chooseModel", (control) => control.chooseModel()),
    command("installServer", (control) => control.install()),
    command("runCommand", (control) => control.runCommand()),
    ...ALIASES.map((alias) => command(alias.command, (control) => control.runAlias(alias))),
  );
  setImmediate(() => controller().catch(() => undefined)); // it has been said
  return {
    status: async () => (await controller()).status(),
    activationMs: evaluationMs + performance.now() - began,
    loadingMs: async () => (await controller(), loadingMs),
  };
}

export async function deactivate(): Promise<void> {
  await (await loading?.catch(() => undefined))?.end();
}
