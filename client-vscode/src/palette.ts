/** The commands of the palette, from commands.json: which of them the server offers now, and what they ask the user for. */

import * as vscode from "vscode";
import type { LanguageClient } from "vscode-languageclient/node";
import listed from "../commands.json";

interface Input {
  readonly argument: string;
  readonly prompt: string;
  readonly placeHolder?: string;
  /** What is left empty is left out. */
  readonly optional?: boolean;
}

export interface Entry {
  readonly command: string;
  /** Whether the server carries it out, */
  readonly server?: boolean;
  /** under another name, */
  readonly of?: string;
  /** with these arguments. */
  readonly arguments?: object;
  readonly input?: Input;
}

const ENTRIES: readonly Entry[] = listed;
/** Entries that are another command of the server, with some arguments given. */
export const ALIASES = ENTRIES.filter(({ of }) => of);
const SERVERS = ENTRIES.filter(({ server, of }) => server && !of).map(({ command }) => command);
const INPUTS = new Map(ENTRIES.map(({ command, input }) => [`inkling.${command}`, input]));

/** Run an entry that is a command of the server with some arguments given. */
export function runAlias({ of, arguments: given }: Entry, client: LanguageClient): Thenable<unknown> {
  return vscode.commands.executeCommand(`inkling.${of}`, { ...activeTarget(client), ...given });
}

/** Show the entries whose commands the server offers; without one, none. */
export function setOffers(offered: readonly string[]): void {
  for (const command of SERVERS) {
    void vscode.commands.executeCommand("setContext", `inkling.offers.${command}`, offered.includes(`inkling.${command}`));
  }
}

/** From the palette a command has no arguments: it means the active editor, and asks for what else it needs. */
export async function argumentsFor(command: string, client: LanguageClient): Promise<unknown[] | undefined> {
  const target = activeTarget(client);
  const input = INPUTS.get(command);
  if (!input) {
    return target ? [target] : [];
  }
  const value = await vscode.window.showInputBox({ prompt: input.prompt, placeHolder: input.placeHolder, ignoreFocusOut: true });
  if (value === undefined || !(value.trim() || input.optional)) {
    return undefined;
  }
  return [value.trim() ? { ...target, [input.argument]: value.trim() } : target];
}

function activeTarget(client: LanguageClient): object | undefined {
  const editor = vscode.window.activeTextEditor;
  if (!editor) {
    return undefined;
  }
  const converter = client.code2ProtocolConverter;
  return {
    uri: converter.asUri(editor.document.uri),
    range: converter.asRange(editor.selection),
    position: converter.asPosition(editor.selection.active),
  };
}

interface Survey {
  models: { id: string; tasks: string[]; bytes: number; licence: string; description: string }[];
  uses: { key: string; model: string; tasks: string[] }[];
}

/** Which feature, then which of the models that can do its task; writes the user's own `inkling.settings`. */
export async function chooseModel(client: LanguageClient): Promise<void> {
  const { models, uses } = await client.sendRequest<Survey>("inkling/models", {});
  const use = await vscode.window.showQuickPick(
    uses.map((one) => ({ label: one.key.replace(/\.model$/, "").replace(/[._]/g, " "), description: one.model || "none", one })),
    { title: "Inkling: choose a model for", matchOnDescription: true },
  );
  if (!use) {
    return;
  }
  const { key, model, tasks } = use.one;
  const fitting = models.filter((one) => tasks.length === 0 || one.tasks.some((task) => tasks.includes(task)));
  const choice = await vscode.window.showQuickPick(
    fitting.map((one) => ({
      label: `${one.id === model ? "$(check) " : ""}${one.id}`,
      description: `${(one.bytes / 1e6).toLocaleString("en", { maximumFractionDigits: 1 })} MB · ${one.licence || "no licence said"}`,
      detail: one.description,
      id: one.id,
    })),
    { title: `Inkling: the model for ${use.label}`, placeHolder: "On this machine; Download a Model… gets others", matchOnDetail: true },
  );
  if (choice) {
    await writeSetting(key, choice.id);
  }
}

/** Set `complete.model` and its like in the user's own settings. */
export async function writeSetting(key: string, value: unknown): Promise<void> {
  const configuration = vscode.workspace.getConfiguration("inkling");
  const known = configuration.inspect<Record<string, object>>("settings")?.globalValue ?? {};
  const [plugin, name] = key.split(".");
  const changed = { ...known, [plugin]: { ...known[plugin], [name]: value } };
  await configuration.update("settings", changed, vscode.ConfigurationTarget.Global);
}
