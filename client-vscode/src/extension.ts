/** Starts the language server and shows what it says. What a server can decide is decided there. */

import * as vscode from "vscode";
import { DidChangeConfigurationNotification, LanguageClient, LanguageClientOptions, State } from "vscode-languageclient/node";
import { CrashLimit } from "./crashes";
import { GhostText } from "./ghostText";
import { InstallFailed, installServer } from "./managed";
import { runCommand, showMenu } from "./menu";
import { argumentsFor, chooseModel, registerAliases, setOffers } from "./palette";
import { ServerNotFound, findServer } from "./server";
import { Status, StatusItem } from "./status";

/** How long a server may take to say goodbye; then it is killed. */
const STOP_MS = 5_000;
/** Between two looks at the status while something runs; and how many looks a request of ours causes at least. */
const LOOK_MS = 700;
const LOOKS = 4;

let client: LanguageClient | undefined;
let status: StatusItem;
let log: vscode.LogOutputChannel;
let ghostText: GhostText;
/** The extension's own folder. */
let storage: vscode.Uri;
const crashes = new CrashLimit((message) => explain(new Error(message)));
/** Starts and stops run one after the other: two restarts at once would leave two servers. */
let queue: Promise<void> = Promise.resolve();

/** For other extensions, and the tests. */
export interface Api {
  /** The server's answer to `inkling/status`; undefined while no server runs. */
  status(): Promise<Status | undefined>;
}

export async function activate(context: vscode.ExtensionContext): Promise<Api> {
  log = vscode.window.createOutputChannel("Inkling", { log: true });
  storage = context.globalStorageUri;
  status = new StatusItem();
  ghostText = new GhostText(() => client as LanguageClient);
  context.subscriptions.push(
    log,
    status,
    ghostText,
    vscode.commands.registerCommand("inkling.restart", () => {
      crashes.forget();
      return restart();
    }),
    vscode.commands.registerCommand("inkling.showLog", () => log.show()),
    vscode.commands.registerCommand("inkling.showStatus", async () => showMenu(await askStatus())),
    ...registerAliases(() => client),
    vscode.commands.registerCommand("inkling.chooseModel", () => client?.isRunning() && chooseModel(client)),
    vscode.commands.registerCommand("inkling.installServer", install),
    vscode.commands.registerCommand("inkling.runCommand", () =>
      runCommand(offered()),
    ),
    vscode.workspace.onDidGrantWorkspaceTrust(() => client?.sendNotification("inkling/trustChanged", { trusted: true })),
    vscode.workspace.onDidChangeConfiguration((event) => {
      if (["enable", "interpreter", "command"].some((key) => event.affectsConfiguration(`inkling.${key}`))) {
        void restart();
      }
    }),
  );
  void restart(); // the editor's own start does not wait for it
  return { status: askStatus };
}

export async function deactivate(): Promise<void> {
  await enqueue(stop);
}

function enqueue(step: () => Promise<void>): Promise<void> {
  queue = queue.then(step, step);
  return queue;
}

function restart(): Promise<void> {
  return enqueue(async () => {
    await stop();
    await start();
  });
}

async function stop(): Promise<void> {
  const old = client;
  client = undefined;
  await vscode.commands.executeCommand("setContext", "inkling.running", false);
  setOffers([]);
  if (old?.state === State.Starting) {
    await old.start().catch(() => undefined); // one that starts cannot be stopped
  }
  try {
    await old?.dispose(STOP_MS);
  } catch (error) {
    log.warn(`The old server did not stop in time and is killed: ${error instanceof Error ? error.message : error}`);
  }
}

async function start(): Promise<void> {
  if (!vscode.workspace.getConfiguration("inkling").get<boolean>("enable", true)) {
    status.say("off", "switched off by the setting inkling.enable");
    return;
  }
  status.say("starting", "the language server starts");
  try {
    await vscode.workspace.fs.createDirectory(storage);
    const server = await findServer(storage.fsPath);
    log.info(`Starting ${server.command} ${server.args?.join(" ") ?? ""}`);
    const fresh = new LanguageClient("inkling", "Inkling", server, options());
    client = fresh;
    fresh.onNotification("inkling/statusChanged", () => void refresh(fresh));
    fresh.onDidChangeState(({ newState }) => {
      void vscode.commands.executeCommand("setContext", "inkling.running", newState === State.Running);
      setOffers(newState === State.Running ? offered() : []);
      if (newState === State.Starting) {
        status.say("starting", "the language server starts");
      } else if (newState === State.Running) {
        void refresh(fresh);
      }
    });
    await fresh.start();
  } catch (error) {
    await explain(error);
  }
}

/** The commands of the server that runs. */
function offered(): readonly string[] {
  return client?.initializeResult?.capabilities.executeCommandProvider?.commands ?? [];
}

/** Make an environment of our own with the server in it, and start that. */
async function install(): Promise<void> {
  try {
    await vscode.workspace.fs.createDirectory(storage);
    await enqueue(stop); // an old one may run from there
    await installServer(storage.fsPath, log);
  } catch (error) {
    if (!(error instanceof vscode.CancellationError)) {
      await explain(error);
      return;
    }
  }
  crashes.forget();
  await restart();
}

async function askStatus(): Promise<Status | undefined> {
  await queue;
  return client?.isRunning() ? client.sendRequest<Status>("inkling/status", {}) : undefined;
}

async function refresh(asked: LanguageClient): Promise<void> {
  try {
    const answer = await asked.sendRequest<Status>("inkling/status", {});
    if (client === asked && status.show(answer)) {
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
    if (--looks < 0 || !client?.isRunning()) {
      clearInterval(looking);
      looking = undefined;
    } else {
      void refresh(client);
    }
  }, LOOK_MS);
}

async function explain(error: unknown): Promise<void> {
  const message = error instanceof Error ? error.message : String(error);
  log.error(message);
  status.say("failed", message);
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
}

function options(): LanguageClientOptions {
  return {
    documentSelector: [{ scheme: "file" }, { scheme: "untitled" }, { notebook: "*" }],
    outputChannel: log,
    initializationOptions: () => ({
      ...vscode.workspace.getConfiguration("inkling").get<object>("settings", {}),
      workspaceTrusted: vscode.workspace.isTrusted,
    }),
    errorHandler: crashes,
    diagnosticPullOptions: { onChange: true, onFocus: true },
    middleware: {
      provideInlineCompletionItems: (document, position, context, token, next) => {
        stir();
        return ghostText.provideInlineCompletionItems!(document, position, context, token, next);
      },
      workspace: {
        // The server pulls its settings; what VS Code would push here are this extension's own.
        didChangeConfiguration: async () =>
          client?.sendNotification(DidChangeConfigurationNotification.type, { settings: null }),
        // The server asks for the section "inkling"; what it may tune lives under inkling.settings.
        configuration: async (params, token, next) => {
          const sections = await next(params, token);
          return Array.isArray(sections)
            ? sections.map((section, i) => (params.items[i].section === "inkling" ? (section?.settings ?? {}) : section))
            : sections;
        },
      },
      executeCommand: async (command, args, next) => {
        const filled = args.length > 0 ? args : client && (await argumentsFor(command, client));
        if (!filled) {
          return undefined; // the user thought better of it
        }
        stir();
        return next(command, filled);
      },
    },
  };
}
