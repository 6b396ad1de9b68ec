"""`textDocument/inlineCompletion` with the `partialResultToken` that the protocol has and lsprotocol 2025.0.0 lacks.

The request class keeps lsprotocol's name: its converter decides by class name which default-valued fields are sent.
"""

from __future__ import annotations

from typing import Literal

import attrs
from lsprotocol import types


@attrs.define
class InlineCompletionParams:
    """As in LSP 3.18."""

    context: types.InlineCompletionContext
    text_document: types.TextDocumentIdentifier
    position: types.Position
    work_done_token: types.ProgressToken | None = None
    partial_result_token: types.ProgressToken | None = None


@attrs.define
class InlineCompletionRequest:
    """As in LSP 3.18."""

    id: int | str
    params: InlineCompletionParams
    method: Literal["textDocument/inlineCompletion"] = "textDocument/inlineCompletion"
    jsonrpc: str = attrs.field(default="2.0")


for _type in (InlineCompletionParams, InlineCompletionRequest):
    attrs.resolve_types(_type)
