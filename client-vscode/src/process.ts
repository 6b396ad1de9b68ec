/** The server's process, held by us: the client's library can stop one that has answered, but none that never does. */

import { ChildProcess, spawn } from "node:child_process";
import type { Launch } from "./server";

/** How long after its end its last words may still come, and how long a program may take to be gone when it was killed. */
const FLUSH_MS = 300;

/** A server that did not come up, or that was ended: what the user is told. */
export class ServerFailed extends Error {}

export class ServerProcess {
  readonly child: ChildProcess;
  /** Resolves with what there is to say about its end. */
  readonly ended: Promise<ServerFailed>;
  private lastWords = "";

  constructor({ command, args, cwd }: Launch) {
    this.child = spawn(command, args, { cwd, stdio: "pipe" });
    this.child.stderr!.on("data", (data: Buffer) => {
      this.lastWords = data.toString().split(/\r?\n/).findLast((line) => line.trim())?.trim().slice(0, 300) ?? this.lastWords;
    });
    this.child.stdin!.on("error", () => undefined); // it went while it was written to; its end is told elsewhere
    this.ended = new Promise((resolve) => {
      this.child.on("error", (error) => resolve(new ServerFailed(`${command} could not be run: ${error.message}`)));
      this.child.on("exit", (code, signal) => {
        const words = () => resolve(new ServerFailed(`The language server ended with ${signal ?? `code ${code}`}. ${this.lastWords}`.trim()));
        this.child.on("close", words);
        setTimeout(words, FLUSH_MS); // one that it has started may hold its stderr open
      });
    });
  }

  /** Resolves when it has ended; one that has not within `graceMs` is killed. What it shares with other windows stays. */
  async end(graceMs: number): Promise<void> {
    const killing = setTimeout(() => {
      this.child.kill("SIGKILL");
      for (const stream of [this.child.stdin, this.child.stdout, this.child.stderr]) {
        stream?.destroy(); // a program that it has started may hold the other ends
      }
    }, graceMs);
    await this.ended;
    clearTimeout(killing);
  }
}
