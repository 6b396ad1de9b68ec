"""One file per LSP method. Each registers plain functions: what runs before their awaitable runs in message order."""

from __future__ import annotations

from typing import TYPE_CHECKING

from inkling.lsp.features import (
    code_action,
    code_lens,
    completion,
    diagnostic,
    execute_command,
    hover,
    initialize,
    inlay_hint,
    inline_completion,
    models,
    notebook_sync,
    semantic_tokens,
    set_trace,
    settings_changes,
    shutdown,
    status,
    text_document_content,
    text_sync,
    work_done_progress,
    workspace_symbol,
)

if TYPE_CHECKING:
    from inkling.lsp.session import Session

FEATURES = (
    initialize, shutdown, set_trace, settings_changes, work_done_progress, text_sync, notebook_sync,
    hover, diagnostic, code_action, code_lens, completion, inlay_hint, semantic_tokens, inline_completion,
    workspace_symbol, execute_command, text_document_content, status, models,
)  # fmt: skip


def register_all(session: Session) -> None:
    """Register every method."""
    for feature in FEATURES:
        feature.register(session)
