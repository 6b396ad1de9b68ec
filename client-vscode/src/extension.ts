/** Starts the language server and shows what it says. What a server can decide is decided there. */

import { loadedAt } from "./loaded"; // first of all
import { setTimeout as delay } from "node:timers/promises";
import * as vscode from "vscode";
import { DidChangeConfigurationNotification, LanguageClientOptions, State } from "vscode-languageclient/node";
import { CrashLimit } from "./crashes";
import { GhostText } from "./ghostText";
import { InstallFailed, installServer, removeUnused } from "./managed";
import { runCommand, showMenu } from "./menu";
import { argumentsFor, chooseModel, registerAliases, setOffers } from "./palette";
import { ServerFailed } from "./process";
import { ServerNotFound, findServer } from "./server";
import { Session } from "./session";
import { Status, StatusItem } from "./status";

/** Between two looks at the status while something runs; and how many looks a request of ours causes at least. */
const LOOK_MS = 700;
const LOOKS = 4;
/** How long the menu waits for the server's word. */
const MENU_MS = 1_000;

let session: Session | undefined;
let status: StatusItem;
let log: vscode.LogOutputChannel;
let ghostText: GhostText;
/** The extension's own folder. */
let storage: vscode.Uri;
const crashes = new CrashLimit();
/** Starts and stops run one after the other: two restarts at once would leave two servers. */
let queue: Promise<void> = Promise.resolve();
/** The settings with which the last start began. */
let launched = "";
/** Counts them: a start that is no longer the latest wish is given up. */
let wishes = 0;

/** For other extensions, and the tests. */
export interface Api {
  /** The server's answer to `inkling/status`; undefined while no server runs. */
  status(): Promise<Status | undefined>;
  /** Milliseconds from the bundle's first line to the end of `activate`. */
  activationMs: number;
}

export async function activate(context: vscode.ExtensionContext): Promise<Api> {
  log = vscode.window.createOutputChannel("Inkling", { log: true });
  storage = context.globalStorageUri;
  status = new StatusItem();
  ghostText = new GhostText(client);
  context.subscriptions.push(
    log,
    status,
    ghostText,
    vscode.commands.registerCommand("inkling.restart", () => {
      crashes.forget();
      return restart();
    }),
    vscode.commands.registerCommand("inkling.showLog", () => log.show()),
    vscode.commands.registerCommand("inkling.showStatus", async () => showMenu(await statusNow(MENU_MS))),
    ...registerAliases(client),
    vscode.commands.registerCommand("inkling.chooseModel", async () => {
      const running = client();
      return running?.isRunning() && chooseModel(running);
    }),
    vscode.commands.registerCommand("inkling.installServer", install),
    vscode.commands.registerCommand("inkling.runCommand", () =>
      runCommand(offered()),
    ),
    vscode.workspace.onDidGrantWorkspaceTrust(() => {
      const running = client();
      // Without a server, the workspace's own environment, which now counts, may have one.
      if (running?.isRunning()) {
        void running.sendNotification("inkling/trustChanged", { trusted: true });
        stir(); // the shield goes
      } else {
        void restart();
      }
    }),
    vscode.workspace.onDidChangeConfiguration((event) => {
      // Trust that is granted counts as a change of all that it restricts: look whether anything is different.
      if (event.affectsConfiguration("inkling") && launched !== launchSettings()) {
        void restart();
      }
    }),
  );
  const activationMs = performance.now() - loadedAt; // of our own: what follows, nobody waits for
  void restart();
  return { status: askStatus, activationMs };
}

export async function deactivate(): Promise<void> {
  await enqueue(stop);
}

function client() {
  return session?.client;
}

/** Run this when what runs now has ended. A server that is starting is not waited for: it may never answer. */
function enqueue(step: (isLatest: () => boolean) => Promise<void>): Promise<void> {
  const wish = ++wishes;
  if (session?.isStarting) {
    void session.stop((message) => log.warn(message));
  }
  const next = () => step(() => wish === wishes);
  queue = queue.then(next, next);
  return queue;
}

function restart(): Promise<void> {
  return enqueue(async (isLatest) => {
    await stop();
    await start(isLatest);
  });
}

async function stop(): Promise<void> {
  const old = session;
  session = undefined;
  await vscode.commands.executeCommand("setContext", "inkling.running", false);
  setOffers([]);
  await old?.stop((message) => log.warn(message));
}

/** What decides which program runs. */
function launchSettings(): string {
  const settings = vscode.workspace.getConfiguration("inkling");
  return JSON.stringify(["enable", "interpreter", "command"].map((key) => settings.get(key)));
}

async function start(isLatest: () => boolean): Promise<void> {
  const settings = vscode.workspace.getConfiguration("inkling");
  launched = launchSettings();
  if (!settings.get<boolean>("enable", true)) {
    status.say("off", "switched off by the setting inkling.enable");
    return;
  }
  status.say("starting", "the language server starts");
  let fresh: Session | undefined;
  try {
    await vscode.workspace.fs.createDirectory(storage);
    const launch = await findServer(storage.fsPath);
    if (!isLatest()) {
      return;
    }
    log.info(`Starting ${launch.command} ${launch.args.join(" ")}`);
    session = fresh = new Session(launch, options(), ended);
    follow(fresh);
    await fresh.start(1000 * settings.get<number>("startTimeout", 60));
  } catch (error) {
    if (!fresh?.isStopped) {
      explain(error);
    }
  }
}

/** Show what a session says. */
function follow(fresh: Session): void {
  fresh.client.onNotification("inkling/statusChanged", () => void refresh(fresh));
  fresh.client.onDidChangeState(({ newState }) => {
    void vscode.commands.executeCommand("setContext", "inkling.running", newState === State.Running);
    setOffers(newState === State.Running ? offered() : []);
    if (newState === State.Running) {
      void refresh(fresh);
    }
  });
}

/** The server has ended by itself. */
function ended(why: ServerFailed): void {
  if (crashes.allowsAnother()) {
    log.warn(`${why.message} It is started again.`);
    void restart();
  } else {
    explain(new ServerFailed(`The language server ended ${crashes.count} times within three minutes. ${why.message}`));
  }
}

/** The commands of the server that runs. */
function offered(): readonly string[] {
  return client()?.initializeResult?.capabilities.executeCommandProvider?.commands ?? [];
}

/** Make an environment of our own with the server in it, and start that. Until then, what runs goes on. */
async function install(): Promise<void> {
  try {
    await vscode.workspace.fs.createDirectory(storage);
    await installServer(storage.fsPath, log);
  } catch (error) {
    if (!(error instanceof vscode.CancellationError)) {
      tell(error);
    }
    return;
  }
  crashes.forget();
  await restart();
  await removeUnused(storage.fsPath);
}

async function askStatus(): Promise<Status | undefined> {
  await queue;
  return statusNow();
}

/** The status, without waiting for a server that is starting, nor for long. */
async function statusNow(patienceMs?: number): Promise<Status | undefined> {
  const running = client();
  if (!running?.isRunning()) {
    return undefined;
  }
  const asked = running.sendRequest<Status>("inkling/status", {});
  return patienceMs === undefined ? asked : Promise.race([asked, delay(patienceMs).then(() => undefined)]).catch(() => undefined);
}

async function refresh(asked: Session): Promise<void> {
  try {
    const answer = await asked.client.sendRequest<Status>("inkling/status", {});
    if (session === asked && status.show(answer)) {
      stir();
    }
  } catch {
    // The server went while it was asked; its end is told elsewhere.
  }
}

let looks = 0;
let looking: NodeJS.Timeout | undefined;

/** Something runs for the user: look at the status until it does no longer. */
function stir(): void {
  looks = LOOKS;
  looking ??= setInterval(() => {
    if (--looks < 0 || !session?.client.isRunning()) {
      clearInterval(looking);
      looking = undefined;
    } else {
      void refresh(session);
    }
  }, LOOK_MS);
}

/** No server runs, and this is why. */
function explain(error: unknown): void {
  status.say("failed", tell(error));
}

/** Log and show an error, with what can be done about it; returns its words. */
function tell(error: unknown): string {
  const message = error instanceof Error ? error.message : String(error);
  log.error(message);
  const again = error instanceof ServerNotFound ? ["Install", "Open Settings"] : error instanceof InstallFailed ? ["Install"] : ["Restart"];
  void vscode.window.showErrorMessage(`Inkling: ${message}`, ...again, "Open Log").then((choice) => {
    if (choice === "Open Settings") {
      void vscode.commands.executeCommand("workbench.action.openSettings", "inkling");
    } else if (choice === "Open Log") {
      log.show();
    } else if (choice === "Restart") {
      void vscode.commands.executeCommand("inkling.restart");
    } else if (choice === "Install") {
      void vscode.commands.executeCommand("inkling.installServer");
    }
  });
  return message;
}

function options(): LanguageClientOptions {
  return {
    documentSelector: [{ scheme: "file" }, { scheme: "untitled" }, { notebook: "*" }],
    outputChannel: log,
    initializationOptions: () => ({
      ...vscode.workspace.getConfiguration("inkling").get<object>("settings", {}),
      workspaceTrusted: vscode.workspace.isTrusted,
    }),
    diagnosticPullOptions: { onChange: true, onFocus: true },
    middleware: {
      provideInlineCompletionItems: (document, position, context, token, next) => {
        stir();
        return ghostText.provideInlineCompletionItems!(document, position, context, token, next);
      },
      workspace: {
        // The server pulls its settings; what VS Code would push here are this extension's own.
        didChangeConfiguration: async () =>
          client()?.sendNotification(DidChangeConfigurationNotification.type, { settings: null }),
        // The server asks for the section "inkling"; what it may tune lives under inkling.settings.
        configuration: async (params, token, next) => {
          const sections = await next(params, token);
          return Array.isArray(sections)
            ? sections.map((section, i) => (params.items[i].section === "inkling" ? (section?.settings ?? {}) : section))
            : sections;
        },
      },
      executeCommand: async (command, args, next) => {
        const running = client();
        const filled = args.length > 0 ? args : running && (await argumentsFor(command, running));
        if (!filled) {
          return undefined; // the user thought better of it
        }
        stir();
        return next(command, filled);
      },
    },
  };
}
