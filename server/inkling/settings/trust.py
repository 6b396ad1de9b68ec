"""What an untrusted workspace may not decide.

A repository that someone opens must not choose what runs or what is reached on their machine. A settings field says
so by its metadata:

* `scope: user`: credentials, and what they go along with. From the user's own file or the client; also a workspace that
  is trusted does not say which secret of the user's goes where.
* `scope: machine`: plugins, the engine's options. From the user's own file, the client, or a trusted workspace.
* `scope: model`: a model id. An untrusted workspace may name a starter model, a hub model that is already in the
  user's cache, or one that the user's own settings allow (`server.models`); not a folder, and nothing to fetch.
* `scope: path`: a file that is read. An untrusted workspace names one below its own folder.
* `scope: hiding`: globs of files to hide. An untrusted workspace may add some; its `!glob`, which shows again what the
  user's own settings hide, is left out.

LSP has no trust bit: unless the client says that a workspace is trusted, it is not.
"""

from __future__ import annotations

import fnmatch
from collections.abc import Callable, Sequence
from pathlib import PureWindowsPath
from typing import Any

from inkling.settings.build import Gate
from inkling.settings.problem import did_you_mean

MACHINE_TABLES = frozenset({"engine"})
"""Tables of which an untrusted workspace decides nothing."""

SHARED_TABLES = {"engine": frozenset({"remotes", "routes"})}
"""Tables about what all windows share, with the keys that a trusted workspace may set all the same."""


def trusted_gate(scope: str, value: Any) -> str:
    """The gate for a trusted workspace."""
    if scope == "user":
        return "it goes along with secrets of yours, so set it in your own settings."
    return ""


def workspace_gate(allowed_models: Sequence[str], is_installed: Callable[[str], bool]) -> Gate:
    """The gate for an untrusted workspace; `allowed_models` are patterns such as `my-team/*`."""

    def gate(scope: str, value: Any) -> str:
        if scope in ("machine", "user"):
            return "it decides what may run, so set it in your own settings or trust this workspace."
        if scope == "hiding":
            shows = isinstance(value, str) and value.startswith("!")
            return "it shows files that other settings hide, so set it in your own settings." if shows else ""
        if scope == "path":
            if isinstance(value, str) and _leads_out(value):
                return "it leads out of the workspace, so set it in your own settings or trust this workspace."
            return ""
        names = value if isinstance(value, list | tuple) else [value]
        for name in names:
            if not isinstance(name, str) or not name or name.startswith("starter:"):
                continue  # of a wrong type: said by the type check
            if not any(fnmatch.fnmatchcase(name, pattern) for pattern in allowed_models) and not is_installed(name):
                return _not_yours(name)
        return ""

    return gate


def _not_yours(model: str) -> str:
    """Why an untrusted workspace may not name this model, and what to do. Reads nothing where the model would lie."""
    from inkling.engine.models.catalog import is_path, starter_ids
    from inkling.settings.files import user_file

    how = "`--trust` in a terminal, `workspaceTrusted` among an editor's initialization options"
    allow = f"add it to server.models in {user_file()}"
    if is_path(model):
        return f'"{model[:96]}" is a folder, which a workspace names only when you trust it ({how}). Or {allow}.'
    meant = f' Did you mean "starter:{model}"?' if f"starter:{model}" in starter_ids() else ""
    if "/" not in model:
        meant = meant or did_you_mean(model, starter_ids())
    if ":" in model:
        return f'"{model[:96]}" is no model\'s name.{meant}'
    fetch = "Fetch it with `inkling models pull`"
    return f'"{model[:96]}" is not in your model catalog.{meant} {fetch}, or {allow}, or trust this workspace ({how}).'


def _leads_out(path: str) -> bool:
    """Whether a path is not one below the folder that it is taken from; links are the reader's to follow."""
    windows = PureWindowsPath(path)
    return bool(windows.drive or windows.root) or ".." in windows.parts or path.startswith(("/", "~"))
