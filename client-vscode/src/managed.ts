/**
 * Environments of the extension's own, made when the user says so, with progress, a log, and a way to stop it. A new one
 * is made beside the one in use, whose place it takes once it has shown that it works; so a failure changes nothing.
 */

import { spawn } from "node:child_process";
import * as fs from "node:fs";
import * as path from "node:path";
import * as vscode from "vscode";
import { programIn } from "./server";

const CANDIDATES = ["python3", "python3.14", "python3.13", "python3.12", "python3.11", "python", "py"];
const IS_NEW_ENOUGH = "import sys, ensurepip, venv; sys.exit(sys.version_info < (3, 11))";

export class InstallFailed extends Error {}

/** The server of the managed environment, which is this window's from now on: no other window takes it away. */
export function managedServer(storage: string): string | undefined {
  const folder = current(storage);
  const program = folder && programIn(folder, "inkling");
  if (!program || !fs.existsSync(program)) {
    return undefined;
  }
  claim(folder);
  return program;
}

let installing: Promise<void> | undefined;

/** Make one anew; who asks while one is made waits for that. Throws `InstallFailed`, and then all is as it was before. */
export function installServer(storage: string, log: vscode.LogOutputChannel): Promise<void> {
  return (installing ??= install(storage, log).finally(() => (installing = undefined)));
}

async function install(storage: string, log: vscode.LogOutputChannel): Promise<void> {
  const settings = vscode.workspace.getConfiguration("inkling.managed");
  const wanted = settings.get<string>("package", "inkling-ls");
  const options = { location: vscode.ProgressLocation.Notification, title: "Inkling: installing the language server", cancellable: true };
  await vscode.window.withProgress(options, async (progress, token) => {
    const step = (message: string) => {
      log.info(message);
      progress.report({ message });
    };
    const run = (command: string, args: string[]) => runLogged(command, args, storage, log, token, (message) => progress.report({ message }));
    step("looking for Python 3.11 or newer");
    const python = await findPython(settings.get<string>("python", ""), run);
    fs.mkdirSync(path.join(storage, "servers"), { recursive: true });
    const folder = fs.mkdtempSync(path.join(storage, "servers", "env-"));
    claim(folder);
    try {
      step(`making an environment with ${python}`);
      await run(python, ["-m", "venv", folder]);
      step(`installing ${wanted}`);
      const pip = ["-m", "pip", "install", "--disable-pip-version-check", "--no-input", ...settings.get<string[]>("pipArguments", [])];
      await run(programIn(folder, "python"), [...pip, "--", wanted]);
      step("trying it");
      await run(programIn(folder, "inkling"), ["--version"]);
    } catch (error) {
      await remove(folder);
      throw error;
    }
    const pointer = path.join(storage, `current-${process.pid}`);
    fs.writeFileSync(pointer, path.basename(folder));
    fs.renameSync(pointer, path.join(storage, "current"));
    step("installed");
  });
}

/** The folder of the environment in use. */
function current(storage: string): string | undefined {
  try {
    return path.join(storage, "servers", fs.readFileSync(path.join(storage, "current"), "utf8"));
  } catch {
    return undefined;
  }
}

/** Remove the environments that no window uses. Call it when this window's server runs from the present one. */
export async function removeUnused(storage: string): Promise<void> {
  const servers = path.join(storage, "servers");
  if (installing) {
    return; // one that is being made is this window's, but not yet the present one
  }
  for (const name of fs.existsSync(servers) ? fs.readdirSync(servers) : []) {
    const folder = path.join(servers, name);
    if (folder !== current(storage) && !isClaimedElsewhere(folder)) {
      await remove(folder);
    }
  }
}

/** Every window that runs from an environment, or makes it, leaves its process id there. */
function claim(folder: string): void {
  fs.mkdirSync(path.join(folder, "windows"), { recursive: true });
  fs.writeFileSync(path.join(folder, "windows", String(process.pid)), "");
}

function isClaimedElsewhere(folder: string): boolean {
  const claims = path.join(folder, "windows");
  const others = fs.existsSync(claims) ? fs.readdirSync(claims).map(Number) : [];
  return others.some((pid) => pid !== process.pid && isAlive(pid));
}

function isAlive(pid: number): boolean {
  try {
    return process.kill(pid, 0);
  } catch {
    return false;
  }
}

async function remove(folder: string): Promise<void> {
  await fs.promises.rm(folder, { recursive: true, force: true }).catch(() => undefined); // what is in use goes another time
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
