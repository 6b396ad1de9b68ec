/** When the server ends by itself it is started again, but not for ever. */

const LIMIT = 4;
const WINDOW_MS = 3 * 60_000;

/** Up to four restarts within three minutes. */
export class CrashLimit {
  private crashes: number[] = [];

  /** Count one more; returns whether the server may be started again. */
  allowsAnother(): boolean {
    const now = Date.now();
    this.crashes = [...this.crashes.filter((at) => now - at < WINDOW_MS), now];
    return this.crashes.length <= LIMIT;
  }

  /** How often it ended within the last three minutes. */
  get count(): number {
    return this.crashes.length;
  }

  /** The user has asked for a restart: count anew. */
  forget(): void {
    this.crashes = [];
  }
}
