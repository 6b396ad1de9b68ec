/** Starts the language server and shows what it says. What a server can decide is decided there. */

import * as vscode from "vscode";
import { DidChangeConfigurationNotification, LanguageClient, LanguageClientOptions, State } from "vscode-languageclient/node";
import { ghostTextMiddleware } from "./ghostText";
import { ServerNotFound, findServer } from "./server";
import { Status, StatusItem } from "./status";

let client: LanguageClient | undefined;
let status: StatusItem;
let log: vscode.LogOutputChannel;
/** Starts and stops run one after the other: two restarts at once would leave two servers. */
let queue: Promise<void> = Promise.resolve();

export async function activate(context: vscode.ExtensionContext): Promise<void> {
  log = vscode.window.createOutputChannel("Inkling", { log: true });
  status = new StatusItem();
  context.subscriptions.push(
    log,
    status,
    vscode.commands.registerCommand("inkling.restart", () => restart()),
    vscode.commands.registerCommand("inkling.showLog", () => log.show()),
    vscode.commands.registerCommand("inkling.showStatus", showMenu),
    vscode.workspace.onDidGrantWorkspaceTrust(() => client?.sendNotification("inkling/trustChanged", { trusted: true })),
    vscode.workspace.onDidChangeConfiguration((event) => {
      if (["enable", "interpreter", "command"].some((key) => event.affectsConfiguration(`inkling.${key}`))) {
        void restart();
      }
    }),
  );
  await restart();
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
  await old?.dispose();
}

async function start(): Promise<void> {
  if (!vscode.workspace.getConfiguration("inkling").get<boolean>("enable", true)) {
    status.say("off", "switched off by the setting inkling.enable");
    return;
  }
  status.say("starting", "the language server starts");
  try {
    const server = await findServer();
    log.info(`Starting ${server.command} ${server.args?.join(" ") ?? ""}`);
    const fresh = new LanguageClient("inkling", "Inkling", server, options());
    client = fresh;
    fresh.onNotification("inkling/statusChanged", () => void refresh(fresh));
    fresh.onDidChangeState(({ newState }) => {
      void vscode.commands.executeCommand("setContext", "inkling.running", newState === State.Running);
      if (newState === State.Stopped && client === fresh) {
        status.say("failed", "the language server stopped; see the log, or restart it");
      }
    });
    await fresh.start();
    await refresh(fresh);
  } catch (error) {
    await explain(error);
  }
}

async function refresh(asked: LanguageClient): Promise<void> {
  const answer = await asked.sendRequest<Status>("inkling/status", {});
  if (client === asked) {
    status.show(answer);
  }
}

async function explain(error: unknown): Promise<void> {
  const message = error instanceof Error ? error.message : String(error);
  log.error(message);
  status.say("failed", message);
  const choices = error instanceof ServerNotFound ? ["Open Settings", "Show Log"] : ["Restart", "Show Log"];
  const hint = error instanceof ServerNotFound ? " Install it with: pip install inkling-ls" : "";
  void vscode.window.showErrorMessage(`Inkling: ${message}${hint}`, ...choices).then((choice) => {
    if (choice === "Open Settings") {
      void vscode.commands.executeCommand("workbench.action.openSettings", "inkling");
    } else if (choice === "Show Log") {
      log.show();
    } else if (choice === "Restart") {
      void restart();
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
    middleware: {
      ...ghostTextMiddleware(() => client as LanguageClient),
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
      // From the palette a command has no arguments: it means the active editor.
      executeCommand: (command, args, next) => next(command, args.length > 0 ? args : activeTarget()),
    },
  };
}

function activeTarget(): unknown[] {
  const editor = vscode.window.activeTextEditor;
  if (!editor || !client) {
    return [];
  }
  const converter = client.code2ProtocolConverter;
  return [
    {
      uri: converter.asUri(editor.document.uri),
      range: converter.asRange(editor.selection),
      position: converter.asPosition(editor.selection.active),
    },
  ];
}

async function showMenu(): Promise<void> {
  const entries = [
    ["$(question) Why No Suggestion?", "inkling.whyNothing"],
    ["$(debug-restart) Restart the Language Server", "inkling.restart"],
    ["$(output) Show Log", "inkling.showLog"],
  ];
  const picked = await vscode.window.showQuickPick(
    entries.map(([label, command]) => ({ label, command })),
    { title: "Inkling" },
  );
  if (picked) {
    await vscode.commands.executeCommand(picked.command);
  }
}
