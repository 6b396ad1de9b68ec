"""One file per LSP method. Each registers plain functions: what runs before their awaitable runs in message order."""

from __future__ import annotations

from typing import TYPE_CHECKING

from inkling.lsp.features import (
    code_action,
    code_lens,
    diagnostic,
    execute_command,
    hover,
    initialize,
    inline_completion,
    notebook_sync,
    set_trace,
    settings_changes,
    shutdown,
    status,
    text_sync,
    work_done_progress,
)

if TYPE_CHECKING:
    from inkling.lsp.session import Session

FEATURES = (
    initialize, shutdown, set_trace, settings_changes, work_done_progress, text_sync, notebook_sync,
    hover, diagnostic, code_action, code_lens, inline_completion, execute_command, status,
)  # fmt: skip


def register_all(session: Session) -> None:
    """Register every method."""
    for feature in FEATURES:
        feature.register(session)
