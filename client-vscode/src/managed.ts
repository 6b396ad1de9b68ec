/** An environment of the extension's own: made when the user says so, with progress, a log, and a way to stop it. */

import { spawn } from "node:child_process";
import * as fs from "node:fs";
import * as path from "node:path";
import * as vscode from "vscode";
import { programIn } from "./server";

const CANDIDATES = ["python3", "python3.14", "python3.13", "python3.12", "python3.11", "python", "py"];
const IS_NEW_ENOUGH = "import sys, ensurepip, venv; sys.exit(sys.version_info < (3, 11))";

export class InstallFailed extends Error {}

/** The server of the managed environment, once it is whole. */
export function managedServer(storage: string): string | undefined {
  const folder = path.join(storage, "server");
  return fs.existsSync(path.join(folder, "complete")) ? programIn(folder, "inkling") : undefined;
}

/** Make it anew. Throws `InstallFailed`, and leaves nothing behind that looks whole. */
export async function installServer(storage: string, log: vscode.LogOutputChannel): Promise<void> {
  const settings = vscode.workspace.getConfiguration("inkling.managed");
  const wanted = settings.get<string>("package", "inkling-ls");
  const folder = path.join(storage, "server");
  const options = { location: vscode.ProgressLocation.Notification, title: "Inkling: installing the language server", cancellable: true };
  await vscode.window.withProgress(options, async (progress, token) => {
    const step = (message: string) => {
      log.info(message);
      progress.report({ message });
    };
    const run = (command: string, args: string[]) => runLogged(command, args, storage, log, token, (message) => progress.report({ message }));
    step("looking for Python 3.11 or newer");
    const python = await findPython(settings.get<string>("python", ""), run);
    step(`making an environment with ${python}`);
    fs.rmSync(folder, { recursive: true, force: true });
    await run(python, ["-m", "venv", folder]);
    step(`installing ${wanted}`);
    const pip = ["-m", "pip", "install", "--disable-pip-version-check", "--no-input", ...settings.get<string[]>("pipArguments", [])];
    await run(programIn(folder, "python"), [...pip, "--", wanted]);
    if (!fs.existsSync(programIn(folder, "inkling"))) {
      throw new InstallFailed(`pip installed ${wanted}, which has no program "inkling".`);
    }
    fs.writeFileSync(path.join(folder, "complete"), "");
    step("installed");
  });
}

async function findPython(chosen: string, run: (command: string, args: string[]) => Promise<void>): Promise<string> {
  for (const candidate of chosen ? [chosen] : CANDIDATES) {
    try {
      await run(candidate, ["-I", "-c", IS_NEW_ENOUGH]);
      return candidate;
    } catch (error) {
      if (error instanceof vscode.CancellationError) {
        throw error;
      }
    }
  }
  const where = chosen ? `${chosen} is not` : `none of ${CANDIDATES.join(", ")} on PATH is`;
  throw new InstallFailed(`${where} Python 3.11 or newer with venv and pip. Install one, or name it in inkling.managed.python.`);
}

/** Runs it in the extension's own folder, so that nothing of the workspace is run; each line of it goes to the log. */
function runLogged(
  command: string,
  args: string[],
  cwd: string,
  log: vscode.LogOutputChannel,
  token: vscode.CancellationToken,
  say: (line: string) => void,
): Promise<void> {
  return new Promise((resolve, reject) => {
    const child = spawn(command, args, { cwd, stdio: ["ignore", "pipe", "pipe"], env: { ...process.env, PYTHONSAFEPATH: "1" } });
    const stopping = token.onCancellationRequested(() => child.kill());
    let last = "";
    const read = (data: Buffer) => {
      for (const line of data.toString().split(/\r?\n|\r/).filter((text) => text.trim())) {
        log.info(line);
        last = line.trim();
        say(last.slice(0, 80));
      }
    };
    child.stdout.on("data", read);
    child.stderr.on("data", read);
    child.on("error", (error) => end(() => reject(new InstallFailed(`${command} could not be run: ${error.message}`))));
    child.on("close", (code) =>
      end(() =>
        token.isCancellationRequested
          ? reject(new vscode.CancellationError())
          : code === 0
            ? resolve()
            : reject(new InstallFailed(`${path.basename(command)} ${args.slice(0, 3).join(" ")} ended with ${code}. ${last}`)),
      ),
    );
    const end = (settle: () => void) => {
      stopping.dispose();
      settle();
    };
  });
}
