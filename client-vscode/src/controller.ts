/** Starts the language server and shows what it says. What a server can decide is decided there. */

import * as vscode from "vscode";
import { State } from "vscode-languageclient/node";
import { CrashLimit } from "./crashes";
import { GhostText } from "./ghostText";
import { InstallFailed, installServer, removeUnused } from "./managed";
import { runCommand, showMenu } from "./menu";
import { clientOptions } from "./options";
import { type Entry, chooseModel, runAlias, setOffers } from "./palette";
import { ServerFailed } from "./process";
import { ServerNotFound, findServer } from "./server";
import { Session } from "./session";
import type { Status, StatusItem } from "./status";
import { Watch } from "./watch";

/** How long the menu waits for the server's word. */
const MENU_MS = 1_000;

export class Controller implements vscode.Disposable {
  private session: Session | undefined;
  private readonly crashes = new CrashLimit();
  /** Starts and stops run one after the other: two restarts at once would leave two servers. */
  private queue: Promise<void> = Promise.resolve();
  /** The settings with which the last start began. */
  private launched = "";
  /** Counts them: a start that is no longer the latest wish is given up. */
  private wishes = 0;
  private readonly client = () => this.session?.client;
  private readonly ghostText = new GhostText(this.client);
  private readonly watch: Watch;
  private readonly listening: vscode.Disposable[];

  /** `storage` is the extension's own folder. */
  constructor(
    private readonly storage: vscode.Uri,
    private readonly log: vscode.LogOutputChannel,
    private readonly item: StatusItem,
  ) {
    this.watch = new Watch(item, () => this.session);
    this.listening = [
      this.ghostText,
      vscode.workspace.onDidGrantWorkspaceTrust(() => this.trusted()),
      vscode.workspace.onDidChangeConfiguration((event) => {
        // Trust that is granted counts as a change of all that it restricts: look whether anything is different.
        if (event.affectsConfiguration("inkling") && this.launched !== launchSettings()) {
          void this.restart();
        }
      }),
    ];
  }

  dispose(): void {
    this.listening.forEach((one) => one.dispose());
  }

  restart(): Promise<void> {
    return this.enqueue(async (isLatest) => {
      await this.stop();
      await this.start(isLatest);
    });
  }

  /** The user asks for it, so earlier ends of the server count no more. */
  restartAnew(): Promise<void> {
    this.crashes.forget();
    return this.restart();
  }

  end(): Promise<void> {
    return this.enqueue(() => this.stop());
  }

  /** The server's word, once what runs now has ended; undefined while no server runs. */
  async status(): Promise<Status | undefined> {
    await this.queue;
    return this.watch.now();
  }

  async showMenu(): Promise<void> {
    return showMenu(await this.watch.now(MENU_MS));
  }

  async chooseModel(): Promise<void> {
    const running = this.client();
    return running?.isRunning() ? chooseModel(running) : undefined;
  }

  runCommand(): Promise<void> {
    return runCommand(this.offered());
  }

  runAlias(alias: Entry): unknown {
    const running = this.client();
    return running && runAlias(alias, running);
  }

  /** Make an environment of our own with the server in it, and start that. Until then, what runs goes on. */
  async install(): Promise<void> {
    try {
      await vscode.workspace.fs.createDirectory(this.storage);
      await installServer(this.storage.fsPath, this.log);
    } catch (error) {
      if (!(error instanceof vscode.CancellationError)) {
        this.tell(error);
      }
      return;
    }
    await this.restartAnew();
    await removeUnused(this.storage.fsPath);
  }

  /** Run this when what runs now has ended. A server that is starting is not waited for: it may never answer. */
  private enqueue(step: (isLatest: () => boolean) => Promise<void>): Promise<void> {
    const wish = ++this.wishes;
    if (this.session?.isStarting) {
      void this.session.stop((message) => this.log.warn(message));
    }
    const next = () => step(() => wish === this.wishes);
    this.queue = this.queue.then(next, next);
    return this.queue;
  }

  private async stop(): Promise<void> {
    const old = this.session;
    this.session = undefined;
    await vscode.commands.executeCommand("setContext", "inkling.running", false);
    setOffers([]);
    await old?.stop((message) => this.log.warn(message));
  }

  private async start(isLatest: () => boolean): Promise<void> {
    const settings = vscode.workspace.getConfiguration("inkling");
    this.launched = launchSettings();
    if (!settings.get<boolean>("enable", true)) {
      this.item.say("off", "switched off by the setting inkling.enable");
      return;
    }
    this.item.say("starting", "the language server starts");
    let fresh: Session | undefined;
    try {
      await vscode.workspace.fs.createDirectory(this.storage);
      const launch = await findServer(this.storage.fsPath);
      if (!isLatest()) {
        return;
      }
      this.log.info(`Starting ${launch.command} ${launch.args.join(" ")}`);
      const options = clientOptions({ log: this.log, ghostText: this.ghostText, client: this.client, stir: () => this.watch.stir() });
      this.session = fresh = new Session(launch, options, (why) => this.ended(why));
      this.follow(fresh);
      await fresh.start(1000 * settings.get<number>("startTimeout", 60));
    } catch (error) {
      if (!fresh?.isStopped) {
        this.explain(error);
      }
    }
  }

  /** Show what a session says. */
  private follow(fresh: Session): void {
    fresh.client.onNotification("inkling/statusChanged", () => void this.watch.refresh(fresh));
    fresh.client.onDidChangeState(({ newState }) => {
      void vscode.commands.executeCommand("setContext", "inkling.running", newState === State.Running);
      setOffers(newState === State.Running ? this.offered() : []);
      if (newState === State.Running) {
        void this.watch.refresh(fresh);
      }
    });
  }

  /** The server has ended by itself. */
  private ended(why: ServerFailed): void {
    if (this.crashes.allowsAnother()) {
      this.log.warn(`${why.message} It is started again.`);
      void this.restart();
    } else {
      this.explain(new ServerFailed(`The language server ended ${this.crashes.count} times within three minutes. ${why.message}`));
    }
  }

  private trusted(): void {
    const running = this.client();
    // Without a server, the workspace's own environment, which now counts, may have one.
    if (running?.isRunning()) {
      void running.sendNotification("inkling/trustChanged", { trusted: true });
      this.watch.stir(); // the shield goes
    } else {
      void this.restart();
    }
  }

  /** The commands of the server that runs. */
  private offered(): readonly string[] {
    return this.client()?.initializeResult?.capabilities.executeCommandProvider?.commands ?? [];
  }

  /** No server runs, and this is why. */
  private explain(error: unknown): void {
    this.item.say("failed", this.tell(error));
  }

  /** Log and show an error, with what can be done about it; returns its words. */
  private tell(error: unknown): string {
    const message = error instanceof Error ? error.message : String(error);
    this.log.error(message);
    const again = error instanceof ServerNotFound ? ["Install", "Open Settings"] : error instanceof InstallFailed ? ["Install"] : ["Restart"];
    void vscode.window.showErrorMessage(`Inkling: ${message}`, ...again, "Open Log").then((choice) => {
      if (choice) {
        void vscode.commands.executeCommand(...ANSWERS[choice]);
      }
    });
    return message;
  }
}

/** What the buttons of an error do. */
const ANSWERS: Record<string, [command: string, ...rest: unknown[]]> = {
  "Open Settings": ["workbench.action.openSettings", "inkling"],
  "Open Log": ["inkling.showLog"],
  Restart: ["inkling.restart"],
  Install: ["inkling.installServer"],
};

/** What decides which program runs. */
function launchSettings(): string {
  const settings = vscode.workspace.getConfiguration("inkling");
  return JSON.stringify(["enable", "interpreter", "command"].map((key) => settings.get(key)));
}
