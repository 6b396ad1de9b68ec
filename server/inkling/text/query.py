"""A tree-sitter query of the user's own on a snapshot.

A query may come with a folder that someone else wrote, and its regular expressions run on the event loop: `^(a+)+$` on
26 letters would hold the whole server for seconds. So the binding's `#match?`, which knows no time limit, is not used:
the predicate is written under another name and answered here, with a time limit for the query as a whole.
"""

from __future__ import annotations

import re
from collections import OrderedDict
from functools import lru_cache
from time import monotonic
from typing import TYPE_CHECKING, Literal

from inkling.errors import InklingError
from inkling.text.grammar import parse, query_of
from inkling.text.segment import Span
from inkling.text.snapshot import Snapshot

if TYPE_CHECKING:
    from tree_sitter import Node, Query

LIMIT_S, PER_CHARACTER_S = 0.1, 2e-5
"""Seconds of regular expressions that a query may take on a document."""
MATCHES = 256
"""Matches that may be under way at once: nested repetitions would make millions. Those beyond are dropped."""
REST_S = 60.0
"""Seconds for which a query that was stopped is not run again."""
_REMEMBERED = 256
_PREDICATE = re.compile(r'"(?:[^"\\]|\\.)*"|;[^\n]*|#(?P<name>(?:any-)?(?:not-)?match\?)', re.DOTALL)
_OWN = "inkling-"
Kind = Literal["capture", "string"]

_resting: OrderedDict[tuple[str, str], float] = OrderedDict()


def query_spans(snapshot: Snapshot, query: str) -> tuple[Span, ...]:
    """The spans that the query captures, in document order, each once; none where the language has no grammar.

    Captures whose name begins with `_` serve predicates alone. Costs a re-parse of what changed and a walk of the tree.
    Raises InklingError: `bad-query`, the query is none for this language's grammar; `slow-query`, it was stopped.
    """
    tree = parse(snapshot)
    if tree is None:
        return ()
    key = snapshot.language, query
    if _resting.get(key, 0.0) > monotonic():
        raise _slow()
    from tree_sitter import QueryCursor

    expressions = _Expressions(LIMIT_S + PER_CHARACTER_S * len(snapshot))
    found = QueryCursor(_compiled(*key), match_limit=MATCHES).captures(tree.tree.root_node, expressions)
    if expressions.late:
        _rest(key)
        raise _slow()
    spans = {tree.span(node) for name, nodes in found.items() if not name.startswith("_") for node in nodes}
    return tuple(sorted(spans))


class _Expressions:
    """Answers `#match?`, `#not-match?`, `#any-match?` and `#any-not-match?`, until its time is over."""

    def __init__(self, seconds: float) -> None:
        self._left = seconds
        self.late = False

    def __call__(
        self, predicate: str, args: list[tuple[str, Kind]], pattern_index: int, captures: dict[str, list[Node]]
    ) -> bool:
        """As the binding calls it; errors must not leave here, as it would answer them with a `SystemError`."""
        if not predicate.startswith(_OWN):
            return True
        expression = args[1][0]
        wanted, any_does = "not-" not in predicate, "any-" in predicate
        for node in captures.get(args[0][0], ()):
            if (self._found(expression, node) == wanted) == any_does:
                return any_does and not self.late
        return not any_does and not self.late

    def _found(self, expression: str, node: Node) -> bool:
        import regex  # which can be told to stop, where `re` cannot

        if self.late:
            return False
        start = monotonic()
        try:
            text = (node.text or b"").decode("utf-8", "replace")
            found = regex.search(expression, text, timeout=max(self._left, 1e-3), concurrent=True) is not None
        except (TimeoutError, regex.error, MemoryError, RecursionError):
            self.late = True
            return False
        self._left -= monotonic() - start
        self.late = self._left <= 0
        return found


def _slow() -> InklingError:
    return InklingError(
        "slow-query",
        "The regular expressions of a query took too long on this document, so it was stopped.",
        "Write them so that there is one way to match: a+ rather than (a+)+.",
    )


def _rest(key: tuple[str, str]) -> None:
    _resting[key] = monotonic() + REST_S
    _resting.move_to_end(key)
    while len(_resting) > _REMEMBERED:
        _resting.popitem(last=False)


@lru_cache(maxsize=_REMEMBERED)
def _compiled(language: str, query: str) -> Query:
    from tree_sitter import QueryError

    try:
        query_of(language, query)  # which complains of predicates by their own names
        return query_of(language, _PREDICATE.sub(_renamed, query))
    except (QueryError, ValueError) as error:
        raise InklingError(
            "bad-query",
            f"The query is none for the grammar of {language}: {error}.",
            "Node names are those of the language's tree-sitter grammar; captures begin with @.",
        ) from None


def _renamed(match: re.Match[str]) -> str:
    return f"#{_OWN}{match['name']}" if match["name"] else match[0]
