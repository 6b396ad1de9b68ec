/**
 * Ghost text that grows. VS Code asks once and takes one answer, so the first partial result becomes the answer, and each
 * later one is kept and the editor asked to come again, which is answered from here without a request.
 */

import * as vscode from "vscode";
import { InlineCompletionItem, InlineCompletionList, InlineCompletionRequest, LanguageClient, Middleware, ProgressType } from "vscode-languageclient/node";

type Result = InlineCompletionItem[] | InlineCompletionList | null;

const PARTIAL = new ProgressType<Result>();
let tokens = 0;

interface Growing {
  readonly key: string;
  latest: Result;
  done: boolean;
}

export function ghostTextMiddleware(client: () => LanguageClient): Pick<Middleware, "provideInlineCompletionItems"> {
  let growing: Growing | undefined;

  return {
    async provideInlineCompletionItems(document, position, context, token) {
      const key = `${document.uri}@${document.version}:${position.line}:${position.character}`;
      if (growing?.key === key && growing.latest !== null) {
        return convert(client(), growing.latest);
      }
      const mine: Growing = { key, latest: null, done: false };
      growing = mine;
      const partialResultToken = `inkling-ghost-${++tokens}`;
      return await new Promise((resolve) => {
        let answered = false;
        const show = (result: Result) => {
          if (growing !== mine || size(result) <= size(mine.latest)) {
            return;
          }
          mine.latest = result;
          if (answered) {
            void vscode.commands.executeCommand("editor.action.inlineSuggest.trigger");
          } else {
            answered = true;
            resolve(convert(client(), result));
          }
        };
        const listening = client().onProgress(PARTIAL, partialResultToken, show);
        const converter = client().code2ProtocolConverter;
        const params = {
          textDocument: converter.asTextDocumentIdentifier(document),
          position: converter.asPosition(position),
          context: converter.asInlineCompletionContext(context),
          partialResultToken,
        };
        client()
          .sendRequest(InlineCompletionRequest.type, params, token)
          .then(show, () => undefined)
          .finally(() => {
            listening.dispose();
            mine.done = true;
            if (!answered) {
              answered = true;
              resolve(null);
            }
          });
      });
    },
  };
}

function size(result: Result): number {
  const items = result === null ? [] : Array.isArray(result) ? result : result.items;
  const text = items[0]?.insertText ?? "";
  return typeof text === "string" ? text.length : text.value.length;
}

async function convert(client: LanguageClient, result: Result): Promise<vscode.InlineCompletionItem[] | vscode.InlineCompletionList | undefined | null> {
  return client.protocol2CodeConverter.asInlineCompletionResult(result as InlineCompletionItem[] | null);
}
