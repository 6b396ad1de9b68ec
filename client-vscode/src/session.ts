/** A language client and the one process that it speaks to. It starts once; after its end comes another session. */

import { CloseAction, ErrorAction, ErrorCodes, LanguageClient, LanguageClientOptions, ResponseError, ShowMessageRequest } from "vscode-languageclient/node";
import { choose } from "./choice";
import { ServerFailed, ServerProcess } from "./process";
import type { Launch } from "./server";

/** How long a server may take to answer a goodbye, and then to be gone. */
const STOP_MS = 5_000;
const EXIT_MS = 2_000;
const CONNECTION_ERRORS = new Set<number>([ErrorCodes.PendingResponseRejected, ErrorCodes.ConnectionInactive, ErrorCodes.MessageReadError, ErrorCodes.MessageWriteError]);

/**
 * What the library would force upon the user, `start` throws: it is shown once, with buttons. That something could not be
 * sent to a server that has just ended is told by its end.
 */
class Client extends LanguageClient {
  override error(message: string, data?: unknown, show?: boolean | "force"): void {
    super.error(message, data, show === "force" || isLost(data) ? false : show);
  }
}

function isLost(error: unknown): boolean {
  return error instanceof ResponseError ? CONNECTION_ERRORS.has(error.code) : (error as NodeJS.ErrnoException | undefined)?.code === "EPIPE";
}

export class Session {
  readonly client: LanguageClient;
  private readonly process: ServerProcess;
  private phase: "new" | "starting" | "running" | "over" = "new";
  private isClosed = false;
  /** Whether it ends because somebody asked for it. */
  isStopped = false;

  /** Spawns the program. `onEnd` is told when it ends by itself after it had started. */
  constructor(
    launch: Launch,
    options: LanguageClientOptions,
    private readonly onEnd: (why: ServerFailed) => void,
  ) {
    this.process = new ServerProcess(launch);
    this.client = new Client("inkling", "Inkling", async () => this.process.child, {
      ...options,
      initializationFailedHandler: () => false,
      errorHandler: {
        error: () => ({ action: ErrorAction.Continue }),
        closed: () => {
          this.closed();
          return { action: CloseAction.DoNotRestart, message: "The connection to the language server is closed.", handled: true };
        },
      },
    });
    this.client.onRequest(ShowMessageRequest.type, choose); // in place of the library's own
  }

  get isStarting(): boolean {
    return this.phase === "starting";
  }

  /** Resolves once the server has answered. Throws, and leaves no process, when it ends or is silent for `withinMs`. */
  async start(withinMs: number): Promise<void> {
    this.phase = "starting";
    let patience: NodeJS.Timeout | undefined;
    const late = new Promise<never>((_, reject) => {
      const failure = new ServerFailed(`The language server has not answered for ${withinMs / 1000} s and was ended.`);
      patience = setTimeout(() => reject(failure), withinMs);
    });
    const ended = this.process.ended.then((why) => Promise.reject(why));
    const started = this.client.start().catch((error) => {
      if (error instanceof ResponseError && !isLost(error)) {
        throw error; // it has answered, with a no
      }
      void this.process.end(EXIT_MS);
      return ended; // which says more than that it cannot be written to
    });
    try {
      await Promise.race([started, ended, late]);
      if (this.isClosed) {
        await ended;
      }
    } catch (error) {
      await this.process.end(0);
      throw error;
    } finally {
      clearTimeout(patience);
      this.phase = this.phase === "starting" && this.client.isRunning() ? "running" : "over";
    }
  }

  /** Resolves when the process is gone. One that is starting ends at once, and its `start` throws. */
  async stop(warn: (message: string) => void): Promise<void> {
    this.phase = "over";
    this.isStopped = true;
    let graceMs = 0;
    if (this.client.isRunning()) {
      try {
        await this.client.dispose(STOP_MS);
        graceMs = EXIT_MS;
      } catch (error) {
        warn(`The old server did not stop in time and is killed: ${error instanceof Error ? error.message : error}`);
      }
    }
    await this.process.end(graceMs);
  }

  private closed(): void {
    this.isClosed = true;
    void this.process.end(EXIT_MS); // one that has closed its output and lives on would be waited for
    if (this.phase === "running") {
      this.phase = "over";
      void this.process.ended.then(this.onEnd);
    }
  }
}
