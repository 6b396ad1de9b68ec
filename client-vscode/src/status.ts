/** The status bar item: what runs, with which model, how fast, how far loading is, where text goes; a menu behind it. */

import * as vscode from "vscode";

type EngineState = "off" | "starting" | "ready" | "crashed" | "failed";

interface Model {
  id: string;
  task: string;
  state: string;
  progress: number;
  quantization: string;
}

/** The part of the answer to `inkling/status` that is shown. */
export interface Status {
  server: { version: string; pid: number };
  engine: {
    state: EngineState;
    error: string;
    pid?: number;
    active_requests?: number;
    generated_tokens?: number;
    models: Model[];
  };
  plugins: { name: string; state: string; reason: string; detail: string }[];
  workspace: { trusted: boolean };
  text: { goes: string; detail: string };
}

const ICONS: Record<EngineState | "loading" | "busy" | "restricted", string> = {
  off: "$(circle-outline)",
  starting: "$(loading~spin)",
  loading: "$(loading~spin)",
  ready: "$(sparkle)",
  busy: "$(pulse)",
  restricted: "$(shield)",
  crashed: "$(sync~spin)",
  failed: "$(error)",
};
const HERE = "this machine";

/** Tokens per second, from two readings of a counter that only grows. */
class Rate {
  private last: { tokens: number; at: number } | undefined;
  value = 0;

  read(tokens: number | undefined): void {
    const now = performance.now();
    if (tokens === undefined || (this.last && tokens < this.last.tokens)) {
      this.last = undefined; // another engine
      this.value = 0;
      return;
    }
    if (this.last && tokens > this.last.tokens && now - this.last.at < 3_000) {
      this.value = ((tokens - this.last.tokens) * 1000) / (now - this.last.at);
    }
    if (!this.last || tokens > this.last.tokens || now - this.last.at >= 3_000) {
      this.last = { tokens, at: now };
    }
  }
}

export class StatusItem implements vscode.Disposable {
  private readonly item = vscode.window.createStatusBarItem("inkling.status", vscode.StatusBarAlignment.Right, 90);
  private readonly rate = new Rate();

  constructor() {
    this.item.name = "Inkling";
    this.item.command = "inkling.showStatus";
    this.say("starting", "starting");
    this.item.show();
  }

  /** Returns whether it will look different soon. */
  show(status: Status): boolean {
    const { engine, plugins, workspace, text } = status;
    this.rate.read(engine.generated_tokens);
    const loading = engine.models.find((model) => model.state === "loading");
    const busy = engine.state === "ready" && (engine.active_requests ?? 0) > 0;
    const lines = [`engine ${engine.state}${engine.error ? `: ${engine.error}` : ""}`];
    lines.push(...engine.models.map((model) => `- ${modelLine(model)}`));
    if (this.rate.value > 0) {
      lines.push(`${this.rate.value.toFixed(0)} tokens a second at the last look`);
    }
    lines.push(...plugins.filter((plugin) => plugin.detail).map((plugin) => `- plugin ${plugin.name}: ${plugin.detail}`));
    if (!workspace.trusted) {
      lines.push("restricted: the workspace is not trusted, so its own settings choose no plugin, model or engine");
    }
    const still = engine.state === "ready" && !workspace.trusted ? "restricted" : engine.state;
    this.draw(loading ? "loading" : busy ? "busy" : still, this.words(status, loading, busy), [...lines, text.detail].join("\n\n"));
    return loading !== undefined || busy;
  }

  say(state: EngineState, message: string): void {
    this.draw(state, "", message);
  }

  private words({ engine, text }: Status, loading: Model | undefined, busy: boolean): string {
    if (loading) {
      return ` ${Math.round(loading.progress * 100)} %`;
    }
    const loaded = engine.models.filter((model) => model.state === "ready");
    const model = loaded.find(({ task }) => task === "text-generation") ?? loaded[0];
    const words = [
      model && shorten(model.id),
      busy && this.rate.value > 0 && `${this.rate.value.toFixed(0)} tok/s`,
      text.goes !== HERE && `$(cloud) ${text.goes}`,
    ];
    return words.filter(Boolean).map((word) => ` · ${word}`).join("");
  }

  private draw(icon: keyof typeof ICONS, suffix: string, message: string): void {
    this.item.text = `${ICONS[icon]} Inkling${suffix}`;
    this.item.backgroundColor = icon === "failed" ? new vscode.ThemeColor("statusBarItem.errorBackground") : undefined;
    this.item.tooltip = new vscode.MarkdownString(`**Inkling**\n\n${message}`);
  }

  dispose(): void {
    this.item.dispose();
  }
}

/** `starter:code: ready, int8` */
export function modelLine(model: Model): string {
  const percent = model.state === "loading" ? `${Math.round(model.progress * 100)} %` : "";
  const facts = [model.state, percent, model.quantization === "none" ? "" : model.quantization].filter(Boolean);
  return `${model.id}: ${facts.join(", ")}`;
}

/** A hub id without its owner, and no longer than the status bar bears. */
function shorten(id: string): string {
  const name = id.startsWith("starter:") ? id : (id.split("/").pop() ?? id);
  return name.length > 24 ? `${name.slice(0, 23)}…` : name;
}
