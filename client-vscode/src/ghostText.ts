/**
 * Ghost text that grows. VS Code asks once and takes one answer, so the first partial result becomes the answer, and each
 * later one is kept and the editor asked to come again, which is answered from here without a request.
 *
 * Coming again has a catch. VS Code does not ask a second time for the same version, place and *set of providers*; and
 * what an explicit request brings, it puts behind the suggestion that shows. So each growth is offered by a provider that
 * is new to the editor, and asked for as an automatic request, whose answer takes the place of what shows, in one step.
 * An older editor that knows no arguments to the trigger shows one growth; the rest comes when the user types on.
 */

import * as vscode from "vscode";
import { InlineCompletionItem, InlineCompletionList, InlineCompletionRequest, LanguageClient, Middleware, ProgressType } from "vscode-languageclient/node";

type Result = InlineCompletionItem[] | InlineCompletionList | null;

const PARTIAL = new ProgressType<Result>();
/** The time between two growths on the screen; what comes faster is shown together. */
const FRAME_MS = 100;
const TRIGGER = { explicit: false, providerId: "inkling.inkling:*" };
let tokens = 0;

interface Growing {
  readonly document: vscode.TextDocument;
  readonly version: number;
  readonly position: vscode.Position;
  latest: Result;
  /** Stops the request. The editor's own token will not do: it is cancelled as soon as the editor comes again. */
  readonly stop: vscode.CancellationTokenSource;
}

export class GhostText implements vscode.Disposable, Pick<Middleware, "provideInlineCompletionItems"> {
  private growing: Growing | undefined;
  private readonly hide: vscode.Disposable;
  private offered: vscode.Disposable | undefined;
  private nextFrame: NodeJS.Timeout | undefined;

  constructor(private readonly client: () => LanguageClient | undefined) {
    this.hide = vscode.commands.registerCommand("inkling.hideSuggestion", () => {
      this.growing?.stop.cancel();
      this.say(false);
      return vscode.commands.executeCommand("editor.action.inlineSuggest.hide");
    });
  }

  dispose(): void {
    this.hide.dispose();
    this.forgetOffer();
  }

  readonly provideInlineCompletionItems: Middleware["provideInlineCompletionItems"] = async (document, position, context, token) => {
    const known = this.grown(document, position);
    if (known) {
      return this.convert(known);
    }
    this.growing?.stop.cancel();
    this.forgetOffer();
    const stop = new vscode.CancellationTokenSource();
    const mine: Growing = { document, version: document.version, position, latest: null, stop };
    this.growing = mine;
    this.say(true);
    const client = this.client()!;
    const partialResultToken = `inkling-ghost-${++tokens}`;
    return await new Promise((resolve) => {
      let answered = false;
      token.onCancellationRequested(() => answered || stop.cancel());
      const answer = (result: Result) => {
        answered = true;
        resolve(this.convert(result));
      };
      const grow = (result: Result) => {
        if (length(result) <= length(mine.latest)) {
          return;
        }
        mine.latest = result;
        if (!answered) {
          answer(result);
        } else {
          this.offer(mine);
        }
      };
      const listening = client.onProgress(PARTIAL, partialResultToken, grow);
      const params = { ...client.code2ProtocolConverter.asInlineCompletionParams(document, position, context), partialResultToken };
      client
        .sendRequest(InlineCompletionRequest.type, params, stop.token)
        .then(grow, () => undefined)
        .finally(() => {
          listening.dispose();
          if (this.growing === mine) {
            this.say(false);
          }
          if (!answered) {
            answer(null);
          }
        });
    });
  };

  private grown(document: vscode.TextDocument, position: vscode.Position): Result {
    const known = this.growing;
    const same = known?.document === document && known.version === document.version && known.position.isEqual(position);
    return same ? known.latest : null;
  }

  /** Put what has grown in the place of what shows. */
  private offer(growing: Growing): void {
    this.nextFrame ??= setTimeout(() => {
      this.nextFrame = undefined;
      if (!this.isWanted(growing)) {
        return;
      }
      const fresh = vscode.languages.registerInlineCompletionItemProvider(
        { scheme: growing.document.uri.scheme },
        { provideInlineCompletionItems: (document, position) => this.convert(this.grown(document, position)) },
      );
      this.offered?.dispose();
      this.offered = fresh;
      void vscode.commands.executeCommand("editor.action.inlineSuggest.trigger", TRIGGER);
    }, FRAME_MS);
  }

  private forgetOffer(): void {
    clearTimeout(this.nextFrame);
    this.nextFrame = undefined;
    this.offered?.dispose();
    this.offered = undefined;
  }

  /** Whether the user still is where the text grows, and has not sent it away. */
  private isWanted(growing: Growing): boolean {
    const editor = vscode.window.activeTextEditor;
    return (
      this.growing === growing &&
      !growing.stop.token.isCancellationRequested &&
      editor?.document === growing.document &&
      editor.document.version === growing.version &&
      editor.selection.isEmpty &&
      editor.selection.active.isEqual(growing.position)
    );
  }

  private say(growing: boolean): void {
    void vscode.commands.executeCommand("setContext", "inkling.growing", growing);
  }

  private async convert(result: Result): Promise<vscode.InlineCompletionItem[] | vscode.InlineCompletionList | undefined | null> {
    return this.client()?.protocol2CodeConverter.asInlineCompletionResult(result as InlineCompletionItem[] | null);
  }
}

function length(result: Result): number {
  const items = result === null ? [] : Array.isArray(result) ? result : result.items;
  const text = items[0]?.insertText ?? "";
  return typeof text === "string" ? text.length : text.value.length;
}
