"""A tree-sitter query of the user's own on a snapshot."""

from __future__ import annotations

from functools import lru_cache
from typing import TYPE_CHECKING

from inkling.errors import InklingError
from inkling.text.grammar import parse, query_of
from inkling.text.segment import Span
from inkling.text.snapshot import Snapshot

if TYPE_CHECKING:
    from tree_sitter import Query


def query_spans(snapshot: Snapshot, query: str) -> tuple[Span, ...]:
    """The spans that the query captures, in document order, each once; none where the language has no grammar.

    Captures whose name begins with `_` serve predicates alone. Costs a re-parse of what changed and a walk of the tree.
    Raises InklingError `bad-query`: the query is none for this language's grammar.
    """
    tree = parse(snapshot)
    if tree is None:
        return ()
    from tree_sitter import QueryCursor

    found = QueryCursor(_compiled(snapshot.language, query)).captures(tree.tree.root_node)
    spans = {tree.span(node) for name, nodes in found.items() if not name.startswith("_") for node in nodes}
    return tuple(sorted(spans))


@lru_cache(maxsize=256)
def _compiled(language: str, query: str) -> Query:
    from tree_sitter import QueryError

    try:
        return query_of(language, query)
    except (QueryError, ValueError) as error:
        raise InklingError(
            "bad-query",
            f"The query is none for the grammar of {language}: {error}.",
            "Node names are those of the language's tree-sitter grammar; captures begin with @.",
        ) from None
