// The page: one editor on one sample, one server behind it.
import { autocompletion } from "@codemirror/autocomplete";
import { defaultKeymap, history, historyKeymap } from "@codemirror/commands";
import { markdown } from "@codemirror/lang-markdown";
import { python } from "@codemirror/lang-python";
import { bracketMatching, defaultHighlightStyle, syntaxHighlighting } from "@codemirror/language";
import { lintGutter } from "@codemirror/lint";
import { LSPClient, hoverTooltips, serverCompletion } from "@codemirror/lsp-client";
import { EditorState } from "@codemirror/state";
import { EditorView, keymap, lineNumbers } from "@codemirror/view";
import { Connection } from "./connection";
import { applyEdit, chooseAction, findings, pull } from "./findings";
import { ghostOf, ghostText } from "./ghost";

type Json = any;
const by = <T extends HTMLElement>(id: string) => document.querySelector<T>(`#${id}`)!;
const samples: { name: string; language: string; text: string }[] = await (await fetch("samples")).json();
let view: EditorView;

// A request that a newer one replaced, or that the text has outrun, is no mishap.
function told(error: any) {
  if (![-32800, -32801].includes(error?.code)) tell(String(error?.message ?? error));
}

function tell(message: string) { by("message").textContent = message; }

async function status(client: LSPClient) {
  const said: Json = await client.request("inkling/status", {});
  by("where").textContent = said.text.detail;
  by("state").textContent = `engine ${said.engine.state}`;
  return said;
}

function open(client: LSPClient, sample: typeof samples[number]) {
  view?.destroy();
  view = new EditorView({
    parent: by("editor"),
    state: EditorState.create({
      doc: sample.text,
      extensions: [
        lineNumbers(), lintGutter(), history(), bracketMatching(), syntaxHighlighting(defaultHighlightStyle),
        EditorView.exceptionSink.of(told), EditorView.lineWrapping, autocompletion(), ghostText(), findings(),
        keymap.of([{ key: "Ctrl-.", run: () => { void chooseAction(view); return true; } }, ...defaultKeymap, ...historyKeymap]),
        sample.language === "python" ? python() : markdown(),
        client.plugin(`file:///playground/${sample.name}`, sample.language),
      ],
    }),
  });
  view.focus();
  Object.assign(window, { inkling: { view, client, ghost: () => ghostOf(view.state) } });
}

async function begin() {
  const connection = await Connection.open(location.hash.slice(1), () => { by("state").textContent = "the server has gone"; });
  const client = new LSPClient({
    timeout: 60_000,
    initializationOptions: { workspaceTrusted: false },
    extensions: [serverCompletion(), hoverTooltips(), {
      clientCapabilities: {
        textDocument: {
          inlineCompletion: {},
          codeAction: {
            codeActionLiteralSupport: { codeActionKind: { valueSet: [""] } },
            dataSupport: true, resolveSupport: { properties: ["edit"] },
          },
        },
        workspace: {
          applyEdit: true, workspaceEdit: { documentChanges: true }, diagnostics: { refreshSupport: true },
        },
      },
    }],
    notificationHandlers: {
      "inkling/statusChanged": client => { void status(client); return true; },
      "window/showMessage": (_, params) => { tell(params.message); return true; },
      "window/logMessage": () => true,
    },
  });
  connection.on("workspace/applyEdit", params => ({ applied: applyEdit(view, params.edit) }));
  connection.on("workspace/diagnostic/refresh", () => { void pull(view); });
  connection.on("workspace/configuration", params => params.items.map(() => null));
  connection.on("window/workDoneProgress/create", () => null);
  connection.on("client/registerCapability", () => null);
  connection.on("window/showMessageRequest", params => { tell(params.message); return null; });
  client.connect(connection);
  await client.initializing;
  for (const sample of samples) by<HTMLSelectElement>("sample").add(new Option(sample.name));
  by<HTMLSelectElement>("sample").onchange = event => open(client, samples[(event.target as HTMLSelectElement).selectedIndex]!);
  by("actions").onclick = () => void chooseAction(view);
  by("why").onclick = async () => {
    const reasons: Json[] = (await status(client)).reasons;
    const last = reasons.filter(reason => reason.surface === "inline_completion").at(-1) ?? reasons.at(-1);
    tell(last ? `${last.reason}: ${last.detail}` : "Everything that was asked for has been shown.");
  };
  open(client, samples[0]!);
  await status(client);
}

begin().catch(error => { by("state").textContent = "not connected"; tell(String(error.message ?? error)); });
