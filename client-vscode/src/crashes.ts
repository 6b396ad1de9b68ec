/** What to do when the server ends by itself: start it again, but not for ever. */

import { CloseAction, CloseHandlerResult, ErrorAction, ErrorHandler, ErrorHandlerResult } from "vscode-languageclient/node";

const LIMIT = 4;
const WINDOW_MS = 3 * 60_000;

/** Restarts up to four times within three minutes; then `onGivingUp` tells the user. Stays true across client objects. */
export class CrashLimit implements ErrorHandler {
  private crashes: number[] = [];

  constructor(private readonly onGivingUp: (message: string) => void) {}

  error(): ErrorHandlerResult {
    return { action: ErrorAction.Continue };
  }

  closed(): CloseHandlerResult {
    const now = Date.now();
    this.crashes = [...this.crashes.filter((at) => now - at < WINDOW_MS), now];
    if (this.crashes.length <= LIMIT) {
      return { action: CloseAction.Restart, message: "The language server ended by itself and is started again.", handled: true };
    }
    this.onGivingUp(`The language server ended ${this.crashes.length} times within three minutes.`);
    return { action: CloseAction.DoNotRestart, handled: true };
  }

  /** The user has asked for a restart: count anew. */
  forget(): void {
    this.crashes = [];
  }
}
