/** Looks at the server's status for the status bar: when the server says that it has changed, and while something runs. */

import { setTimeout as delay } from "node:timers/promises";
import type { Session } from "./session";
import type { Status, StatusItem } from "./status";

/** Between two looks while something runs; and how many looks a request of ours causes at least. */
const LOOK_MS = 700;
const LOOKS = 4;

export class Watch {
  private looks = 0;
  private looking: NodeJS.Timeout | undefined;

  constructor(
    private readonly item: StatusItem,
    private readonly session: () => Session | undefined,
  ) {}

  /** The status, without waiting for a server that is starting, nor longer than `patienceMs`. */
  async now(patienceMs?: number): Promise<Status | undefined> {
    const running = this.session()?.client;
    if (!running?.isRunning()) {
      return undefined;
    }
    const asked = running.sendRequest<Status>("inkling/status", {});
    return patienceMs === undefined ? asked : Promise.race([asked, delay(patienceMs).then(() => undefined)]).catch(() => undefined);
  }

  /** Ask one session, and show what it says if it still is the one that runs. */
  async refresh(asked: Session): Promise<void> {
    try {
      const answer = await asked.client.sendRequest<Status>("inkling/status", {});
      if (this.session() === asked && this.item.show(answer)) {
        this.stir();
      }
    } catch {
      // The server went while it was asked; its end is told elsewhere.
    }
  }

  /** Something runs for the user: look until it does no longer. */
  stir(): void {
    this.looks = LOOKS;
    this.looking ??= setInterval(() => {
      const session = this.session();
      if (--this.looks < 0 || !session?.client.isRunning()) {
        clearInterval(this.looking);
        this.looking = undefined;
      } else {
        void this.refresh(session);
      }
    }, LOOK_MS);
  }
}
