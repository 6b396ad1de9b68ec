"""Secrets by rule. Secrets here are put together at run time, so that no scanner takes this file for a leak."""

from __future__ import annotations

import base64
import string
import zlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from inkling.engine.protocol import Entity
from inkling.engine.tasks.secret_rules import (
    entropy,
    find_secrets,
    iban,
    is_placeholder,
    luhn,
    merge,
    token_checksum,
    without_overlaps,
)

BASE62 = string.digits + string.ascii_uppercase + string.ascii_lowercase
RANDOM = "q7Rv2LmX9tBz4KcW8nYd1HsJ6gPf3VaT5uEo"
JWT = ".".join(
    base64.urlsafe_b64encode(part).decode().rstrip("=")
    for part in (b'{"alg":"HS256"}', b'{"sub":"42","name":"x"}', bytes(range(40, 72)))
)


def checked(prefix: str, body: str) -> str:
    number, check = zlib.crc32(body.encode()), ""
    for _ in range(6):
        number, digit = divmod(number, 62)
        check = BASE62[digit] + check
    return prefix + body + check


def found(text: str) -> list[tuple[str, str]]:
    return [(entity.label, text[entity.start : entity.end]) for entity in find_secrets(text)]


GH = checked("gh" + "p_", RANDOM[:30])
PEM = "-----BEGIN RSA " + "PRIVATE KEY-----\nMIIE" + RANDOM + "\n-----END RSA " + "PRIVATE KEY-----"


@pytest.mark.parametrize(
    ("text", "label", "secret"),
    [
        (f"export GITHUB={GH}", "TOKEN", GH),
        (f"auth: {checked('np' + 'm_', RANDOM[:30])}", "TOKEN", checked("np" + "m_", RANDOM[:30])),
        (f"cookie={JWT}; path=/", "TOKEN", JWT),
        (f"Authorization: Bearer {RANDOM}", "TOKEN", RANDOM),
        ("token: gl" + f"pat-{RANDOM[:20]}", "TOKEN", "gl" + f"pat-{RANDOM[:20]}"),
        ("id AK" + "IAQ7RVLMXTBZKCWNYD", "KEY", "AK" + "IAQ7RVLMXTBZKCWNYD"),
        ("maps?key=AI" + f"za{RANDOM[:35]}", "KEY", "AI" + f"za{RANDOM[:35]}"),
        ("stripe = 'sk" + f"_live_{RANDOM[:24]}'", "KEY", "sk" + f"_live_{RANDOM[:24]}"),
        (PEM, "KEY", PEM),
        (f'api_key = "{RANDOM}"', "KEY", RANDOM),
        (f"SERVICE_TOKEN={RANDOM}", "TOKEN", RANDOM),
        ('password = "correct-horse"', "PASSWORD", "correct-horse"),
        ("DB_PASS" + "WORD=tr0ub4dor", "PASSWORD", "tr0ub4dor"),
        ("postgres://app:s3cr3tPw@db.internal/shop", "PASSWORD", "s3cr3tPw"),
        ("write to ada.byron+list@mail.example.org.", "EMAIL", "ada.byron+list@mail.example.org"),
        ("call +44 20 7946 0018 today", "PHONE", "+44 20 7946 0018"),
        ("pay to GB82 WEST 1234 5698 7654 32 please", "ACCOUNT", "GB82 WEST 1234 5698 7654 32"),
        ("card 4111 1111 1111 1111", "ACCOUNT", "4111 1111 1111 1111"),
        ("ключ 😀 api_key='" + RANDOM + "'", "KEY", RANDOM),
    ],
)
def test_finds(text: str, label: str, secret: str) -> None:
    assert found(text) == [(label, secret)]


@pytest.mark.parametrize(
    "text",
    [
        "commit 3f786850e387550fdab836ed7e6dc881de23001b",
        "id 6f1ed002-ab5c-4a5e-9d2e-0c1c6a0f1b2d",
        'api_key = "your-api-key-goes-here-please"',
        "token = secrets.token_urlsafe(32)",
        "password = getpass.getpass()",
        "password: ${DB_PASSWORD}",
        "api_key = os.environ['SERVICE_API_KEY']",
        "key: {{ vault.api_key }}",
        "git@github.com:org/repo.git",
        "npm i lodash@4.17.21",
        "card 4111 1111 1111 1112",
        "GB82 WEST 1234 5698 7654 33",
        "order 1234567890123456",
        "-----BEGIN PUBLIC KEY-----\nMIIB" + RANDOM + "\n-----END PUBLIC KEY-----",
        "eyJub3QiOiJhIGp3dCJ9.eyJub3QiOiJhIGp3dCJ9.c2lnbmF0dXJlLXNpZ25hdHVyZQ",
        "Bearer of bad news",
        "gh" + "p_" + "x" * 36,
        "the password must be changed: it expires",
        "",
    ],
)
def test_leaves_alone(text: str) -> None:
    assert found(text) == []


def test_a_wrong_checksum_is_less_sure_than_a_right_one() -> None:
    wrong = GH[:-1] + ("a" if GH[-1] != "a" else "b")
    assert token_checksum(GH)
    assert not token_checksum(wrong)
    assert find_secrets(wrong)[0].score < find_secrets(GH)[0].score == 0.99


@given(st.text(st.sampled_from(string.digits), min_size=12, max_size=18))
def test_luhn_accepts_exactly_one_check_digit(body: str) -> None:
    right = [digit for digit in string.digits if luhn(body + digit)]
    assert len(right) == (1 if len(set(body)) > 1 else len(right))
    assert len(right) <= 1


@given(st.text(st.sampled_from(string.digits + "ABCXYZ"), min_size=11, max_size=26))
def test_iban_accepts_exactly_one_pair_of_check_digits(body: str) -> None:
    assert sum(iban(f"DE{check:02}{body}") for check in range(2, 99)) == 1


def test_entropy_is_in_bits_per_character() -> None:
    assert entropy("") == 0
    assert entropy("aaaa") == 0
    assert entropy("abcd") == pytest.approx(2)
    assert is_placeholder("xxxxxxxx")
    assert not is_placeholder(RANDOM)


def test_rules_win_over_the_model_and_nothing_overlaps() -> None:
    rule, close, far = Entity("TOKEN", 0.8, 5, 20), Entity("KEY", 0.99, 7, 25), Entity("PERSON", 0.6, 30, 33)
    assert merge("key 0" * 9, [close, far], [rule]) == [rule, far]
    assert without_overlaps([rule, close, far]) == [close, far]


@pytest.mark.parametrize(
    ("label", "words", "stays"),
    [
        ("KEY", "tomlkit", False),
        ("KEY", "container", False),
        ("KEY", "k1", False),
        ("KEY", "f81d4fae", True),
        ("PASSWORD", "+", False),
        ("PASSWORD", "hunter2", True),
        ("PERSON", "Al", True),
    ],
)
def test_what_the_model_found_must_be_possible(label: str, words: str, stays: bool) -> None:
    found = Entity(label, 0.9, 3, 3 + len(words))
    assert merge(f"so {words} it is", [found], []) == [found] * stays


@given(st.text())
def test_any_text_gives_ordered_spans_within_it(text: str) -> None:
    entities = find_secrets(text)
    edges = [edge for entity in entities for edge in (entity.start, entity.end)]
    assert edges == sorted(edges)
    assert all(0 <= edge <= len(text) for edge in edges)


@pytest.mark.parametrize(
    ("text", "found", "whole"),
    [
        ("My password is hunter2-Blue.", "hunter2-", "hunter2-Blue"),
        ("password=hunter2-Blue; next", "ter2", "hunter2-Blue"),
        ("say 'a-b!c-d' now", "b!c-", "a-b!c-d"),
        ("is it Winter2024?!", "Winter2024", "Winter2024"),
        ("(pass5678)", "pass5", "pass5678"),
    ],
)
def test_what_a_model_finds_of_a_secret_is_widened_to_its_word(text: str, found: str, whole: str) -> None:
    start = text.index(found)
    (entity,) = merge(text, [Entity("PASSWORD", 0.9, start, start + len(found))], [])
    assert text[entity.start : entity.end] == whole


def test_a_name_is_not_widened() -> None:
    name = Entity("NAME", 0.9, 0, 3)
    assert merge("Ann-like", [name], []) == [name]
