"""The process in which chat templates run. Each line of input is a conversation, each line of output what came of it.

The sandbox keeps a template from reaching Python's objects. What it cannot keep it from, `9 ** (9 ** 9)` or a string of
ten gigabytes, ends this process alone: by the alarm that is set before each conversation, or by the limit on memory.
"""

from __future__ import annotations

import json
import signal
import sys
import time
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime
from typing import Any, NoReturn

from jinja2 import TemplateError, TemplateSyntaxError, UndefinedError, nodes
from jinja2.exceptions import SecurityError
from jinja2.ext import Extension, loopcontrols
from jinja2.parser import Parser
from jinja2.sandbox import ImmutableSandboxedEnvironment

MEMORY = 1 << 30
OVERHEAD = 100_000
"""Characters that a template may add to twice those of the messages."""
PARTS_S = 1.0
"""Seconds for finding out where each message ends, after which the rest is told without."""
_LONGEST_WORDS = 300

Message = Mapping[str, Any]


@dataclass(frozen=True)
class Refusal:
    """Why there is no text. `kind` is `raised` (the template's own words), `missing`, `failed` or `huge`."""

    kind: str
    words: str


class Raised(Exception):
    """The template called `raise_exception`."""


class Generation(Extension):
    """`{% generation %}` marks what a model wrote, for training; here its body is simply written."""

    tags = {"generation"}  # noqa: RUF012 - as Jinja declares it

    def parse(self, parser: Parser) -> nodes.Node | list[nodes.Node]:
        """The body alone."""
        line = next(parser.stream).lineno
        body = parser.parse_statements(("name:endgeneration",), drop_needle=True)
        return nodes.Scope(body).set_lineno(line)


def environment() -> ImmutableSandboxedEnvironment:
    """What transformers gives a chat template: no loader, so nothing can be imported."""
    made = ImmutableSandboxedEnvironment(
        trim_blocks=True, lstrip_blocks=True, extensions=[Generation, loopcontrols], autoescape=False
    )
    made.filters["tojson"] = _to_json
    made.globals["raise_exception"] = _raise
    made.globals["strftime_now"] = lambda form: datetime.now().strftime(form)
    return made


def _to_json(
    value: Any,
    ensure_ascii: bool = False,
    indent: int | None = None,
    separators: tuple[str, str] | None = None,
    sort_keys: bool = False,
) -> str:
    return json.dumps(
        value, ensure_ascii=ensure_ascii, indent=indent, separators=separators, sort_keys=sort_keys, default=str
    )


def _raise(words: object) -> NoReturn:
    raise Raised(str(words)[:_LONGEST_WORDS])


class Conversation:
    """One request: `template`, `messages`, `tools`, `special`, `add_generation_prompt`, `parts`."""

    def __init__(self, request: Mapping[str, Any]) -> None:
        self._template = environment().from_string(request["template"])
        self._messages: list[Message] = request["messages"]
        self._more = dict(request.get("special") or {})
        self._tools = request.get("tools") or None
        self._prompt = bool(request.get("add_generation_prompt", True))
        self._wants_parts = bool(request.get("parts", True))

    def answer(self) -> dict[str, Any]:
        """`text`, `ends` and `left_out`, or `refused`, `words` and `at`; the text alone when no parts are wanted."""
        whole = self._attempt(self._messages, self._prompt)
        if isinstance(whole, str) and not self._wants_parts:
            return {"text": whole}
        if isinstance(whole, Refusal):
            return {"refused": whole.kind, "words": whole.words, "at": self._culprit(whole)}
        ends, left_out = self._parts(whole)
        return {"text": whole, "ends": ends, "left_out": left_out}

    def _attempt(self, messages: Sequence[Message], prompt: bool) -> str | Refusal:
        allowed = OVERHEAD + 2 * len(json.dumps(messages, ensure_ascii=False))
        written: list[str] = []
        length = 0
        try:
            for piece in self._template.generate(
                messages=[dict(message) for message in messages],
                tools=self._tools,
                documents=None,
                add_generation_prompt=prompt,
                **self._more,
            ):
                written.append(piece)
                length += len(piece)
                if length > allowed:
                    return Refusal("huge", "it writes far more than the messages hold")
        except Raised as error:
            return Refusal("raised", str(error))
        except UndefinedError as error:
            return Refusal("missing", str(error)[:_LONGEST_WORDS])
        except SecurityError:
            return Refusal("failed", "it reaches for what the sandbox forbids")
        except MemoryError:
            return Refusal("huge", "it needs more memory than a template may have")
        except Exception as error:
            return Refusal("failed", _words(error))
        return "".join(written)

    def _culprit(self, refusal: Refusal) -> int:
        """The message with which the refusal begins."""
        late = time.monotonic() + PARTS_S
        for count in range(1, len(self._messages)):
            if time.monotonic() > late:
                break
            if self._attempt(self._messages[:count], False) == refusal:
                return count - 1
        return len(self._messages) - 1

    def _parts(self, whole: str) -> tuple[list[int], list[int]]:
        """(where each message ends in the text, the messages that add nothing to it)."""
        ends: list[int] = []
        left_out = []
        reached = 0
        before: str | Refusal = self._attempt([], False)
        late = time.monotonic() + PARTS_S
        for number, message in enumerate(self._messages):
            part = (
                self._attempt(self._messages[: number + 1], False) if time.monotonic() < late else Refusal("late", "")
            )
            if isinstance(part, str) and part == before:
                left_out.append(number)
            if isinstance(part, str) and whole.startswith(part) and len(part) >= reached:
                reached = len(part)
            else:
                reached = _after(whole, message.get("content"), reached)
            ends.append(reached)
            before = part
        return ends, left_out


def _after(whole: str, content: Any, start: int) -> int:
    """Where a message's content ends in the text, when its template writes it otherwise inside than at the end."""
    found = whole.find(content.strip(), start) if isinstance(content, str) else -1
    return start if found < 0 else found + len(content.strip())


def _words(error: BaseException) -> str:
    if isinstance(error, TypeError) and "loader" in str(error):
        return "it imports other templates"
    if isinstance(error, RecursionError):
        return "it calls itself without end"
    if isinstance(error, OverflowError) and "range" in str(error).lower():
        return "it loops too often"
    return f"it fails with {type(error).__name__}"


def answer(request: Mapping[str, Any]) -> dict[str, Any]:
    """What becomes of one conversation."""
    try:
        return Conversation(request).answer()
    except TemplateSyntaxError as error:
        return {"refused": "broken", "words": f"line {error.lineno} is no Jinja: {error.message}"[:_LONGEST_WORDS]}
    except (TemplateError, ValueError, RecursionError, MemoryError) as error:
        return {"refused": "broken", "words": _words(error)}


def main() -> None:
    """Serve until the input ends. The argument: seconds for one conversation."""
    limit_s = float(sys.argv[1])
    with suppress(ImportError, ValueError, OSError):
        import resource

        resource.setrlimit(resource.RLIMIT_AS, (MEMORY, MEMORY))
    timed = hasattr(signal, "setitimer")
    sys.stdout.write("{}\n")  # ready
    sys.stdout.flush()
    for line in sys.stdin:
        if timed:
            signal.setitimer(signal.ITIMER_REAL, limit_s)  # nobody handles the signal: it ends the process
        reply = json.dumps(answer(json.loads(line)))
        if timed:
            signal.setitimer(signal.ITIMER_REAL, 0)
        sys.stdout.write(reply + "\n")
        sys.stdout.flush()


if __name__ == "__main__":
    main()
