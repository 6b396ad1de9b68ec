/** The status bar item: what runs, how far loading is, where text goes, and a menu. */

import * as vscode from "vscode";

/** The parameters of `inkling/statusChanged`. */
export interface Status {
  state: "starting" | "loading" | "ready" | "busy" | "restricted" | "error";
  message?: string;
  progress?: number;
  models?: string[];
  destination?: string;
}

const ICONS: Record<Status["state"], string> = {
  starting: "$(loading~spin)",
  loading: "$(loading~spin)",
  ready: "$(sparkle)",
  busy: "$(sync~spin)",
  restricted: "$(shield)",
  error: "$(error)",
};

export class StatusItem implements vscode.Disposable {
  private readonly item = vscode.window.createStatusBarItem("inkling.status", vscode.StatusBarAlignment.Right, 90);

  constructor() {
    this.item.name = "Inkling";
    this.item.command = "inkling.showStatus";
    this.show({ state: "starting" });
    this.item.show();
  }

  show(status: Status): void {
    const percent = status.progress === undefined ? "" : ` ${Math.round(status.progress * 100)} %`;
    this.item.text = `${ICONS[status.state] ?? "$(question)"} Inkling${percent}`;
    this.item.backgroundColor =
      status.state === "error" ? new vscode.ThemeColor("statusBarItem.errorBackground") : undefined;
    const lines = [`**Inkling**: ${status.message ?? status.state}`];
    if (status.models?.length) {
      lines.push(`Models: ${status.models.join(", ")}`);
    }
    lines.push(status.destination ?? "Text stays on this machine.");
    this.item.tooltip = new vscode.MarkdownString(lines.join("\n\n"));
  }

  dispose(): void {
    this.item.dispose();
  }
}
