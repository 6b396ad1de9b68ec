/** What the server asks the user: a few answers are buttons of a message, more than that a list, for buttons get too narrow to read. */

import * as vscode from "vscode";
import { type MessageActionItem, MessageType, type ShowMessageRequestParams } from "vscode-languageclient/node";

const BUTTONS = 4;

export async function choose({ type, message, actions = [] }: ShowMessageRequestParams): Promise<MessageActionItem | null> {
  if (actions.length > BUTTONS) {
    const picked = await vscode.window.showQuickPick(actions.map(({ title }) => title), { placeHolder: message });
    return actions.find(({ title }) => title === picked) ?? null;
  }
  const show =
    type === MessageType.Error ? vscode.window.showErrorMessage
    : type === MessageType.Warning ? vscode.window.showWarningMessage
    : vscode.window.showInformationMessage;
  return (await show(message, ...actions)) ?? null;
}
