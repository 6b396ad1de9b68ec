// Diagnostics as squiggles, with the server's quick fixes as buttons; and the menu of actions for a selection.
import { setDiagnostics, Diagnostic } from "@codemirror/lint";
import { LSPClient, LSPPlugin } from "@codemirror/lsp-client";
import { EditorView, ViewPlugin, ViewUpdate } from "@codemirror/view";

type Json = any;
const SEVERITY = ["error", "error", "warning", "info", "hint"] as const;

// Asked for after the text has rested, and again whenever the server says that there may be others.
export const findings = () => ViewPlugin.fromClass(class {
  private timer = 0;
  constructor(readonly view: EditorView) { this.later(0); }
  update(update: ViewUpdate) { if (update.docChanged) this.later(400); }
  later(pause: number) { clearTimeout(this.timer); this.timer = window.setTimeout(() => void pull(this.view), pause); }
  destroy() { clearTimeout(this.timer); }
});

export async function pull(view: EditorView) {
  const plugin = LSPPlugin.get(view);
  if (plugin === null) return;
  await plugin.client.initializing;
  plugin.client.sync();
  const doc = view.state.doc;
  const report: Json = await plugin.client.request("textDocument/diagnostic", { textDocument: { uri: plugin.uri } })
    .catch(() => null);
  if (report?.items === undefined || view.state.doc !== doc) return;  // of a text that is no more
  const found: Diagnostic[] = report.items.map((item: Json) => ({
    from: plugin.fromPosition(item.range.start), to: plugin.fromPosition(item.range.end),
    severity: SEVERITY[item.severity ?? 3] ?? "info", message: item.message, source: item.source,
    actions: [{ name: "Fix…", apply: () => void chooseAction(view, [item]) }],
  }));
  view.dispatch(setDiagnostics(view.state, found));
}

export async function actionsFor(view: EditorView, diagnostics: Json[]): Promise<Json[]> {
  const plugin = LSPPlugin.get(view)!;
  plugin.client.sync();
  const { from, to } = view.state.selection.main;
  const range = diagnostics[0]?.range ?? { start: plugin.toPosition(from), end: plugin.toPosition(to) };
  const found: Json = await plugin.client.request("textDocument/codeAction", {
    textDocument: { uri: plugin.uri }, range, context: { diagnostics, triggerKind: 1 },
  });
  return found ?? [];
}

export async function chooseAction(view: EditorView, diagnostics: Json[] = []) {
  const actions = await actionsFor(view, diagnostics);
  const menu = document.querySelector<HTMLDialogElement>("#menu")!;
  const list = menu.querySelector("ul")!;
  list.replaceChildren(...(actions.length ? actions : [{ title: "Nothing to do here" }]).map(action => {
    const button = document.createElement("button");
    button.textContent = action.title;
    button.onclick = () => { menu.close(); void carryOut(view, action); };
    const item = document.createElement("li");
    item.append(button);
    return item;
  }));
  menu.showModal();
}

async function carryOut(view: EditorView, action: Json) {
  const client = LSPPlugin.get(view)!.client;
  if (action.data !== undefined && !action.edit && !action.command) action = await client.request("codeAction/resolve", action);
  if (action.edit) applyEdit(view, action.edit);
  if (action.command) await command(client, action.command.command ?? action.command, action.command.arguments);
}

export const command = (client: LSPClient, name: string, args: Json[] = []) =>
  client.request<Json, Json>("workspace/executeCommand", { command: name, arguments: args });

export function applyEdit(view: EditorView, edit: Json): boolean {
  const plugin = LSPPlugin.get(view)!;
  const texts: Json[] = edit.documentChanges?.filter((change: Json) => change.textDocument?.uri === plugin.uri)
    .flatMap((change: Json) => change.edits) ?? edit.changes?.[plugin.uri] ?? [];
  if (!texts.length) return false;
  view.dispatch({
    changes: texts.map(text => ({
      from: plugin.fromPosition(text.range.start), to: plugin.fromPosition(text.range.end), insert: text.newText,
    })),
    userEvent: "input.inkling",
  });
  return true;
}
