"""Tree-sitter queries of the user's own: their regular expressions answer as the binding's do, and end."""

from __future__ import annotations

from time import monotonic

import pytest
from tree_sitter import QueryCursor

from inkling.errors import InklingError
from inkling.text import query as queries
from inkling.text.grammar import parse, query_of
from inkling.text.query import query_spans
from inkling.text.snapshot import Snapshot

CODE = 'a = "one"  # 1\nb = ["two", "öne", "(#match? @x)"]\nc = f(1, one="one")\n'


def python(text: str = CODE) -> Snapshot:
    return Snapshot.of(text, uri="file:///w/a.py", language="python")


@pytest.mark.parametrize("quantity", ["", "*"])
@pytest.mark.parametrize("predicate", ["match", "not-match", "any-match", "any-not-match"])
@pytest.mark.parametrize("expression", ["^.ne$", "o", "[^\\\\w]", "\\\\(#match\\\\?", ""])
def test_as_the_binding_answers(predicate: str, expression: str, quantity: str) -> None:
    snapshot = python()
    query = f'((list (string){quantity} @x) ; #match? in a comment, "and a quote\n (#{predicate}? @x "{expression}"))'
    query += f'\n((string_content) @x (#{predicate}? @x "{expression}") (#not-eq? @x "#match? \\"two"))'
    tree = parse(snapshot)
    assert tree is not None
    found = QueryCursor(query_of("python", query)).captures(tree.tree.root_node).get("x", [])
    assert query_spans(snapshot, query) == tuple(sorted({tree.span(node) for node in found}))


@pytest.mark.parametrize("predicate", ["match", "not-match", "any-match", "any-not-match"])
def test_an_expression_that_would_not_end_is_stopped(predicate: str) -> None:
    snapshot = python(f'a = "{"a" * 40}b"\n')
    query = f'((string_content) @x (#{predicate}? @x "^(a|aa)+$"))'
    start = monotonic()
    for _ in range(3):
        with pytest.raises(InklingError) as error:
            query_spans(snapshot, query)
        assert error.value.reason == "slow-query"
    assert monotonic() - start < 100 * queries.LIMIT_S, "it would take minutes, and is not tried three times"


def test_repetitions_in_repetitions_end() -> None:
    assert query_spans(python("a = 1\n" * 300), "((_)* @x (_)* @y (_)* @z)")


@pytest.mark.parametrize("query", ['((string) @x (#match? @x "("))', "((string) @x (#match? @x))", "(nothing) @x", "("])
def test_what_is_no_query(query: str) -> None:
    with pytest.raises(InklingError) as error:
        query_spans(python(), query)
    assert error.value.reason == "bad-query"
