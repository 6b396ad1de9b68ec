"""Filters about indentation: the document's own, and the end of the cursor's block."""

from __future__ import annotations

import re

from inkling_plugins.completion.brackets import CLOSERS
from inkling_plugins.completion.reasons import Rejected
from inkling_plugins.completion.site import Site, leading_space, opens_block


def reindent(text: str, site: Site) -> str | Rejected:
    """Use the document's own indentation, and none twice: the cursor may already stand behind some of it."""
    first, *rest = text.split("\n")
    unit, tabs = site.unit, site.tabs
    surplus = 0
    if site.line_before.strip() == "" and first.strip():
        level = len(leading_space(site.line_above).expandtabs(unit))
        if opens_block(site.line_above, site.language):
            level += unit
        lead = leading_space(first)
        wanted = max(0, level - len(site.line_before.expandtabs(unit)))
        surplus = len(lead.expandtabs(unit)) - wanted
        if surplus > 0:
            first = _spaces(wanted, unit, tabs) + first[len(lead) :]
        if any(len(leading_space(line).expandtabs(unit)) < level + surplus for line in rest if line.strip()):
            surplus = 0  # the lines after it stand where they belong already
    return "\n".join([first, *(_shifted(line, max(0, surplus), unit, tabs) for line in rest)])


def stop_at_dedent(text: str, site: Site) -> str | Rejected:
    """Stay in the cursor's block: stop at the first line further out, but keep the line that closes what was opened."""
    lines = text.split("\n")
    base = len(site.indentation.expandtabs(8))
    opened = bool(site.line_before.strip()) and opens_block(site.line_before + lines[0], site.language)
    kept = lines[:1]
    for line in lines[1:]:
        if not line.strip():
            kept.append(line)
            continue
        indent = len(leading_space(line).expandtabs(8))
        if indent > base:
            kept.append(line)
            continue
        if indent < base:
            break
        if opened and not _continues(line, site.language):
            if line.strip()[:1] in tuple(CLOSERS) or line.strip() == "end":
                kept.append(line)
            break
        kept.append(line)
    return "\n".join(kept)


def _continues(line: str, language: str) -> bool:
    """True for a line that carries a block on at the same indentation: `else:`, `} catch (e) {`."""
    code = line.strip()
    if language == "python":
        return re.match(r"(?:elif|else|except|finally|case)\b", code) is not None or code[:1] in ("}", ")", "]")
    return (
        re.match(r"[)}\]]?\s*(?:else|elsif|elif|catch|finally|rescue|ensure|when|case|default|while)\b", code)
        is not None
    )


def _shifted(line: str, surplus: int, unit: int, tabs: bool | None) -> str:
    """`line` with `surplus` columns less indentation, written the document's way."""
    lead = leading_space(line)
    if not surplus and (tabs is None or ("\t" in lead) == tabs == (" " not in lead)):
        return line
    columns = max(0, len(lead.expandtabs(unit)) - surplus)
    return _spaces(columns, unit, tabs) + line[len(lead) :] if line.strip() else line


def _spaces(columns: int, unit: int, tabs: bool | None) -> str:
    return "\t" * (columns // unit) + " " * (columns % unit) if tabs else " " * columns
