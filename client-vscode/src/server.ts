/** Where the server is: the user's command or interpreter, the active Python environment, PATH, or one of our own. */

import * as fs from "node:fs";
import * as path from "node:path";
import * as vscode from "vscode";
import { managedServer } from "./managed";

const IS_WINDOWS = process.platform === "win32";

export class ServerNotFound extends Error {}

/** A program to run, with its arguments, and where. */
export interface Launch {
  readonly command: string;
  readonly args: readonly string[];
  readonly cwd: string;
}

/**
 * Starts in `storage`, a folder of the extension's own, not in the workspace: `python -m` looks for modules where it starts,
 * and a repository that holds an `inkling.py` must not run by being opened. `-P` forbids the same to the interpreter.
 */
export async function findServer(storage: string): Promise<Launch> {
  const launch = (command: string, args: string[]): Launch => ({ command, args, cwd: storage });
  const settings = vscode.workspace.getConfiguration("inkling");
  const command = settings.get<string[]>("command", []);
  if (command.length > 0) {
    return launch(command[0], command.slice(1));
  }
  const interpreter = settings.get<string>("interpreter", "");
  for (const candidate of interpreter ? [interpreter] : await activeInterpreters()) {
    if (hasInkling(candidate)) {
      return launch(candidate, ["-P", "-m", "inkling", "lsp"]);
    }
  }
  const found = lookUp("inkling") ?? managedServer(storage);
  if (found) {
    return launch(found, ["lsp"]);
  }
  throw new ServerNotFound(
    interpreter
      ? `The interpreter ${interpreter} has no inkling-ls, and no inkling is on PATH.`
      : "The language server is not installed: no active Python environment has it, and no inkling is on PATH.",
  );
}

/**
 * The Python extension's choice, the environment from which the editor was started, and the folders' own `.venv`: what a
 * workspace brings along or chooses, so they count only once the workspace is trusted.
 */
async function activeInterpreters(): Promise<string[]> {
  if (!vscode.workspace.isTrusted) {
    return [];
  }
  const folders = (vscode.workspace.workspaceFolders ?? []).map(({ uri }) => uri);
  const active = process.env.VIRTUAL_ENV;
  return [
    await pythonExtensionsChoice(folders[0]),
    active && programIn(active, "python"),
    ...folders.filter(({ scheme }) => scheme === "file").map(({ fsPath }) => programIn(path.join(fsPath, ".venv"), "python")),
  ].filter((one): one is string => Boolean(one));
}

async function pythonExtensionsChoice(folder: vscode.Uri | undefined): Promise<string | undefined> {
  const python = vscode.extensions.getExtension("ms-python.python");
  try {
    const api = await python?.activate();
    const found = await api?.environments.resolveEnvironment(api.environments.getActiveEnvironmentPath(folder));
    return found?.executable.uri?.fsPath;
  } catch {
    return undefined; // that extension's own trouble, which it tells itself
  }
}

/** A program of a virtual environment. */
export function programIn(environment: string, name: string): string {
  return IS_WINDOWS ? path.join(environment, "Scripts", `${name}.exe`) : path.join(environment, "bin", name);
}

/** Looks for the package beside the interpreter instead of running it, which would cost a second. */
function hasInkling(interpreter: string): boolean {
  return fs.existsSync(path.join(path.dirname(interpreter), IS_WINDOWS ? "inkling.exe" : "inkling"));
}

function lookUp(name: string): string | undefined {
  const suffixes = IS_WINDOWS ? [".exe", ".cmd"] : [""];
  for (const folder of (process.env.PATH ?? "").split(path.delimiter)) {
    for (const suffix of suffixes) {
      const candidate = path.join(folder, name + suffix);
      if (path.isAbsolute(folder) && fs.existsSync(candidate)) {
        return candidate;
      }
    }
  }
  return undefined;
}
