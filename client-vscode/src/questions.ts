/** Questions in VS Code's own symbol search. It sends the first word of what is typed, and keeps and sorts what comes by
 * how well the names have those letters. So a question is typed with + between its words, and names begin with it. */

import { SymbolInformation } from "vscode";
import type { WorkspaceSymbolMiddleware } from "vscode-languageclient/node";

/** A query that begins with what no name begins with. */
const QUESTION = /^[^\p{L}\p{N}_$]/u;

export const questions: WorkspaceSymbolMiddleware = {
  async provideWorkspaceSymbols(query, token, next) {
    if (!QUESTION.test(query)) {
      return next(query, token);
    }
    const found = await next(query.replaceAll("+", " "), token);
    return found?.map(
      ({ name, kind, containerName, location }, rank) =>
        new SymbolInformation(`${query} ${String(rank + 1).padStart(2, "0")} ${name}`, kind, containerName, location),
    );
  },
};
