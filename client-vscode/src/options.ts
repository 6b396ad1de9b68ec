/** How the language client of one session behaves: which documents, what the server is told, what is answered here. */

import * as vscode from "vscode";
import { DidChangeConfigurationNotification, type LanguageClient, type LanguageClientOptions } from "vscode-languageclient/node";
import type { GhostText } from "./ghostText";
import { argumentsFor } from "./palette";
import { questions } from "./questions";

interface Shown {
  readonly log: vscode.LogOutputChannel;
  readonly ghostText: GhostText;
  /** The client that runs now. */
  client(): LanguageClient | undefined;
  /** Something runs for the user from now on. */
  stir(): void;
}

export function clientOptions({ log, ghostText, client, stir }: Shown): LanguageClientOptions {
  return {
    documentSelector: [{ scheme: "file" }, { scheme: "untitled" }, { notebook: "*" }],
    outputChannel: log,
    initializationOptions: () => ({
      ...vscode.workspace.getConfiguration("inkling").get<object>("settings", {}),
      workspaceTrusted: vscode.workspace.isTrusted,
    }),
    diagnosticPullOptions: { onChange: true, onFocus: true },
    middleware: {
      provideInlineCompletionItems: (document, position, context, token, next) => {
        stir();
        return ghostText.provideInlineCompletionItems!(document, position, context, token, next);
      },
      ...questions,
      workspace: {
        // The server pulls its settings; what VS Code would push here are this extension's own.
        didChangeConfiguration: async () =>
          client()?.sendNotification(DidChangeConfigurationNotification.type, { settings: null }),
        // The server asks for the section "inkling"; what it may tune lives under inkling.settings.
        configuration: async (params, token, next) => {
          const sections = await next(params, token);
          return Array.isArray(sections)
            ? sections.map((section, i) => (params.items[i].section === "inkling" ? (section?.settings ?? {}) : section))
            : sections;
        },
      },
      executeCommand: async (command, args, next) => {
        const running = client();
        const filled = args.length > 0 ? args : running && (await argumentsFor(command, running));
        if (!filled) {
          return undefined; // the user thought better of it
        }
        stir();
        return next(command, filled);
      },
    },
  };
}
