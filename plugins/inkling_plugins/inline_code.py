"""Text as inline code in Markdown."""

from __future__ import annotations

import re


def inline_code(text: str) -> str:
    """`text` as inline code, whatever backticks it holds; line ends are shown as signs."""
    text = text.replace("\r", "␍").replace("\n", "⏎").replace("\t", "⇥")
    fence = "`" * (max((len(run) for run in re.findall("`+", text)), default=0) + 1)
    pad = " " if "`" in text or text != text.strip() else ""
    return f"{fence}{pad}{text}{pad}{fence}"
