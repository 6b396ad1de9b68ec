"""The table `[complete]`."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

from inkling.api import Plugin


@dataclass(frozen=True)
class CompleteSettings(Plugin.Settings):
    """How completion behaves."""

    enabled: bool = True
    """Suggest inline completions."""
    model: str = field(default="starter:code", metadata={"scope": "model"})
    """A causal language model."""
    quantization: Literal["auto", "none", "int8", "int4", "nf4"] = "auto"
    """How the model's weights are kept."""
    max_tokens: int = field(default=128, metadata={"min": 1, "max": 2048})
    """Tokens of one suggestion, at most."""
    fill_in_middle: Literal["auto", "always", "never"] = "auto"
    """Whether the model sees what follows the cursor; auto: not the starter, which continues better than it fills."""
    multi_line: Literal["auto", "never", "always"] = "auto"
    """Whether a suggestion may have several lines; auto goes by the syntax around the cursor."""
    comments: bool = True
    """Suggest inside comments and docstrings, too."""
    languages: Mapping[str, bool] = field(default_factory=dict)
    """On (unless said otherwise) or off by language id; `*` is all others. Where it is silent the starter model, which
    was trained on code, is not asked in prose: there are copies alone."""
    exclude: tuple[str, ...] = field(default=(), metadata={"merge": "append"})
    """Globs, as in .gitignore, of files to leave alone."""
    debounce_min_ms: int = field(default=20, metadata={"min": 0, "max": 10_000})
    """The shortest wait after a keystroke; it adapts to the typing rhythm and the model's speed."""
    debounce_max_ms: int = field(default=1000, metadata={"min": 0, "max": 10_000})
    """The longest wait after a keystroke."""
    min_confidence: float = field(default=0.3, metadata={"min": 0.0, "max": 1.0})
    """The least chance of being right that is shown: a line is cut where the model's own chance falls below it."""
    context_chunks: int = field(default=4, metadata={"min": 0, "max": 64})
    """Chunks of other open documents and recent edits that the model sees."""
    ahead: bool = False
    """After a suggestion is shown, compute the next one as if it were accepted, at low priority."""
    copy: bool = True
    """Suggest what followed the same text in open documents and other files of the workspace."""
    copy_workspace_mb: int = field(default=16, metadata={"min": 0, "max": 1024})
    """Memory for the lines of workspace files that are not open, in MB; 0: copy from open documents alone."""
    copy_alone: int = field(default=40, metadata={"min": 12, "max": 256})
    """Matching characters, blanks not counted, from which the rest of a line is copied without a model; twice as many
    for a whole line."""
    continue_tokens: int = field(default=256, metadata={"min": 1, "max": 8192})
    """Tokens that "Continue writing here" writes at most."""
