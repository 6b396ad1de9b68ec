/** The status bar item: what runs, how far loading is, where text goes, and a menu behind it. */

import * as vscode from "vscode";

type EngineState = "off" | "starting" | "ready" | "crashed" | "failed";

interface Model {
  id: string;
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

const ICONS: Record<EngineState | "loading" | "restricted", string> = {
  off: "$(circle-outline)",
  starting: "$(loading~spin)",
  loading: "$(loading~spin)",
  ready: "$(sparkle)",
  restricted: "$(shield)",
  crashed: "$(sync~spin)",
  failed: "$(error)",
};

export class StatusItem implements vscode.Disposable {
  private readonly item = vscode.window.createStatusBarItem("inkling.status", vscode.StatusBarAlignment.Right, 90);

  constructor() {
    this.item.name = "Inkling";
    this.item.command = "inkling.showStatus";
    this.say("starting", "starting");
    this.item.show();
  }

  show({ engine, plugins, workspace, text }: Status): void {
    const loading = engine.models.find((model) => model.state === "loading");
    const icon = loading ? "loading" : engine.state === "ready" && !workspace.trusted ? "restricted" : engine.state;
    const percent = loading ? ` ${Math.round(loading.progress * 100)} %` : "";
    const lines = [`engine ${engine.state}${engine.error ? `: ${engine.error}` : ""}`];
    lines.push(...engine.models.map((model) => `- ${model.id}: ${model.state}${model.quantization === "none" ? "" : `, ${model.quantization}`}`));
    const off = plugins.filter((plugin) => plugin.detail);
    lines.push(...off.map((plugin) => `- plugin ${plugin.name}: ${plugin.detail}`));
    if (!workspace.trusted) {
      lines.push("restricted: the workspace is not trusted, so its own settings choose no plugin, model or engine");
    }
    this.draw(icon, percent, [...lines, text.detail].join("\n\n"));
  }

  say(state: EngineState, message: string): void {
    this.draw(state, "", message);
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
