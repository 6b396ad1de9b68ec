"""What a chat model says, made fit for the document as it comes: code out of its fences, the place's indentation.

Each filter takes pieces by `feed` and gives what is certain; `finish` gives the rest.
"""

from __future__ import annotations

import re

_FENCE = re.compile(r"\s*(`{3,}|~{3,})")
_SOME_WORDS = 3
"""Lines of talk before a fence that are held back."""


class CodeOnly:
    """The code of an answer: what stands in its first fence, or all of it where there is none.

    The first lines are held back until it is clear whether a fence follows, since models say "Here it is:" before it.
    """

    def __init__(self) -> None:
        self._line = ""
        self._held: list[str] = []
        self._fence = ""
        self._state = "before"  # then `plain`, or `inside` and `after`
        self._newline = ""

    def feed(self, text: str) -> str:
        """More of the answer; returns more of the code."""
        out = ""
        self._line += text
        while "\n" in self._line:
            line, _, self._line = self._line.partition("\n")
            out += self._take(line)
        if self._state == "plain":
            out += self._emit(self._line)
            self._line = ""
        elif self._state == "inside" and self._line and not _may_close(self._line):
            out += self._emit(self._line)
            self._line = ""
            self._state = "inside-line"
        elif self._state == "inside-line" and self._line:
            out += self._emit(self._line)
            self._line = ""
        return out

    def finish(self) -> str:
        """The end of the answer; returns the rest of the code."""
        out = self._take(self._line) if self._line else ""
        if self._state == "before":
            out = "\n".join(self._held)
        return out.rstrip("\n") if self._state == "before" else out

    def _take(self, line: str) -> str:
        """A whole line."""
        fence = _FENCE.match(line)
        if self._state == "before":
            if fence:
                self._state, self._fence, self._held = "inside", fence[1], []
                return ""
            self._held.append(line)
            if len(self._held) <= _SOME_WORDS:
                return ""
            self._state = "plain"
            text = "\n".join(self._held)
            self._held = []
            return self._emit(text) + self._end()
        if (
            self._state == "inside"
            and fence
            and line.strip().startswith(self._fence)
            and not line.strip().strip(fence[1][0])
        ):
            self._state = "after"
            return ""
        if self._state == "after":
            return ""
        if self._state == "inside-line":
            self._state = "inside"
        return self._emit(line) + self._end()

    def _emit(self, text: str) -> str:
        """Text, after the line ends that were held back so that none ends the code."""
        if not text:
            return ""
        out, self._newline = self._newline + text, ""
        return out

    def _end(self) -> str:
        self._newline += "\n"
        return ""


class Indented:
    """Every line but the first with the place's indentation, in exchange for the model's own, if it has any."""

    def __init__(self, indentation: str) -> None:
        self._indentation = indentation
        self._own: str | None = None
        self._start = True
        self._space = ""

    def feed(self, text: str) -> str:
        """More of the text."""
        out = ""
        for part in re.findall(r"\n|[^\n]+", text):
            if part == "\n":
                out += "\n"
                self._start, self._space = True, ""
                continue
            if not self._start:
                out += part
                continue
            rest = part.lstrip(" \t")
            self._space += part[: len(part) - len(rest)]
            if rest:
                first = self._own is None
                if self._own is None:
                    self._own = self._space
                space = self._space.removeprefix(self._own)
                out += ("" if first else self._indentation) + space + rest
                self._start, self._space = False, ""
        return out

    def finish(self) -> str:
        """Nothing is left but white space."""
        return ""


def _may_close(line: str) -> bool:
    """Whether the beginning of a line may yet become a closing fence."""
    bare = line.strip()
    return not bare or set(bare) <= {"`"} or set(bare) <= {"~"}
