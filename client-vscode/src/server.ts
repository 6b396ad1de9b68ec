/** Where the server is: the user's command, their interpreter, the active Python environment, or PATH. */

import * as fs from "node:fs";
import * as path from "node:path";
import * as vscode from "vscode";
import { Executable, TransportKind } from "vscode-languageclient/node";

export class ServerNotFound extends Error {}

/**
 * Starts in `cwd`, a folder of the extension's own, not in the workspace: `python -m` looks for modules where it starts,
 * and a repository that holds an `inkling.py` must not run by being opened. `-P` forbids the same to the interpreter.
 */
export async function findServer(cwd: string): Promise<Executable> {
  const executable = (command: string, args: string[]): Executable => ({
    command,
    args,
    transport: TransportKind.stdio,
    options: { cwd },
  });
  const settings = vscode.workspace.getConfiguration("inkling");
  const command = settings.get<string[]>("command", []);
  if (command.length > 0) {
    return executable(command[0], command.slice(1));
  }
  const interpreter = settings.get<string>("interpreter", "") || (await activeInterpreter());
  if (interpreter && (await hasInkling(interpreter))) {
    return executable(interpreter, ["-P", "-m", "inkling", "lsp"]);
  }
  const onPath = lookUp("inkling");
  if (onPath) {
    return executable(onPath, ["lsp"]);
  }
  throw new ServerNotFound(
    interpreter
      ? `The interpreter ${interpreter} has no inkling-ls, and no inkling is on PATH.`
      : "No Python interpreter is chosen, and no inkling is on PATH.",
  );
}

/** The Python extension's choice; a workspace's own environment counts only once the workspace is trusted. */
async function activeInterpreter(): Promise<string> {
  const python = vscode.extensions.getExtension("ms-python.python");
  if (!python || !vscode.workspace.isTrusted) {
    return "";
  }
  const api = await python.activate();
  const folder = vscode.workspace.workspaceFolders?.[0]?.uri;
  const found = await api.environments.resolveEnvironment(api.environments.getActiveEnvironmentPath(folder));
  return found?.executable.uri?.fsPath ?? "";
}

/** Looks for the package beside the interpreter instead of running it, which would cost a second. */
async function hasInkling(interpreter: string): Promise<boolean> {
  const script = process.platform === "win32" ? "inkling.exe" : "inkling";
  return fs.existsSync(path.join(path.dirname(interpreter), script));
}

function lookUp(name: string): string | undefined {
  const suffixes = process.platform === "win32" ? [".exe", ".cmd"] : [""];
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
