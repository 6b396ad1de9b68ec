// Ghost text: asked after a pause in typing, drawn behind the cursor, taken with Tab, dropped with Escape.
import { LSPPlugin } from "@codemirror/lsp-client";
import { EditorState, Extension, Prec, StateEffect, StateField } from "@codemirror/state";
import { Decoration, EditorView, ViewPlugin, ViewUpdate, WidgetType, keymap } from "@codemirror/view";

interface Ghost { at: number; text: string }

const show = StateEffect.define<Ghost | null>();

class GhostWidget extends WidgetType {
  constructor(readonly text: string) { super(); }
  override eq(other: GhostWidget) { return other.text === this.text; }
  toDOM() {
    const span = document.createElement("span");
    span.className = "cm-ghost";
    span.textContent = this.text;
    return span;
  }
}

// Typing what the ghost says keeps the rest of it; any other change, and a moved cursor, drops it.
const ghost = StateField.define<Ghost | null>({
  create: () => null,
  update(value, transaction) {
    for (const effect of transaction.effects) if (effect.is(show)) return effect.value;
    if (value === null || (!transaction.docChanged && !transaction.selection)) return value;
    const head = transaction.state.selection.main.head;
    const typed = transaction.state.doc.sliceString(value.at, head);
    const kept = transaction.docChanged && head > value.at && value.text.startsWith(typed) && typed !== value.text;
    return kept ? { at: head, text: value.text.slice(typed.length) } : null;
  },
  provide: field => EditorView.decorations.from(field, value => value === null ? Decoration.none
    : Decoration.set(Decoration.widget({ widget: new GhostWidget(value.text), side: 1 }).range(value.at))),
});

async function ask(view: EditorView, invoked: boolean) {
  const plugin = LSPPlugin.get(view);
  if (plugin === null || !view.state.selection.main.empty) return;
  plugin.client.sync();
  const { doc, selection } = view.state;
  const items: any = await plugin.client.request("textDocument/inlineCompletion", {
    textDocument: { uri: plugin.uri }, position: plugin.toPosition(selection.main.head),
    context: { triggerKind: invoked ? 1 : 2 },
  }).catch(() => null);
  const item = (items?.items ?? items ?? [])[0];
  if (item === undefined || view.state.doc !== doc || view.state.selection.main.head !== selection.main.head) return;
  const start = item.range ? plugin.fromPosition(item.range.start) : selection.main.head;
  const typed = doc.sliceString(start, selection.main.head);
  if (item.insertText.startsWith(typed) && item.insertText.length > typed.length)
    view.dispatch({ effects: show.of({ at: selection.main.head, text: item.insertText.slice(typed.length) }) });
}

const asking = ViewPlugin.fromClass(class {
  private timer = 0;
  constructor(readonly view: EditorView) {}
  update(update: ViewUpdate) {
    if (!update.docChanged || update.state.field(ghost) !== null) return;
    clearTimeout(this.timer);
    if (update.transactions.some(transaction => transaction.isUserEvent("input")))
      this.timer = window.setTimeout(() => void ask(this.view, false), 60);
  }
  destroy() { clearTimeout(this.timer); }
});

function accept(view: EditorView) {
  const value = view.state.field(ghost);
  if (value === null) return false;
  view.dispatch({
    changes: { from: value.at, insert: value.text }, selection: { anchor: value.at + value.text.length },
    effects: show.of(null), userEvent: "input.complete",
  });
  return true;
}

function drop(view: EditorView) {
  if (view.state.field(ghost) === null) return false;
  view.dispatch({ effects: show.of(null) });
  return true;
}

export function ghostText(): Extension {
  return [ghost, asking, Prec.highest(keymap.of([
    { key: "Tab", run: accept },
    { key: "Escape", run: drop },
    { key: "Alt-\\", run: view => { void ask(view, true); return true; } },
  ]))];
}

export const ghostOf = (state: EditorState) => state.field(ghost)?.text ?? "";
