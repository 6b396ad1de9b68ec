"""Secrets and personal data by rule: what has a checksum, a fixed shape, or an assignment that gives it away.

It stands beside the `secrets` classifier: a rule is sure where it applies and blind elsewhere, a model reads
context. Pure Python, no model. The score says how the finding was made: 0.99 by checksum, 0.95 by shape,
0.8 by the name that it is assigned to and its entropy.
"""

from __future__ import annotations

import base64
import binascii
import json
import math
import re
import zlib
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace

from inkling.engine.protocol import Entity

CHECKSUM, SHAPE, ASSIGNED = 0.99, 0.95, 0.8


@dataclass(frozen=True)
class Rule:
    """A label for what `pattern` finds (its group 1 where it has one) and `check` accepts."""

    label: str
    score: float
    pattern: re.Pattern[str]
    check: Callable[[str], bool] = bool


def find_secrets(text: str) -> list[Entity]:
    """Secrets in `text`, in reading order and without overlaps; offsets are code points."""
    found: list[Entity] = []
    for rule in RULES:
        for match in rule.pattern.finditer(text):
            group = 1 if rule.pattern.groups else 0
            if rule.check(match[group]):
                found.append(Entity(rule.label, rule.score, *match.span(group)))
    found.extend(_assignments(text))
    return without_overlaps(found)


def merge(text: str, model: Sequence[Entity], rules: Sequence[Entity]) -> list[Entity]:
    """The rules' findings, and the model's where no rule spoke and it can be such a thing, as whole words."""
    likely = [_whole(text, entity) for entity in model if _can_be(entity.label, text[entity.start : entity.end])]
    return without_overlaps([*rules, *likely], key=lambda entity: entity in rules)


_WORD_BEFORE = re.compile(r"[^\s\"'`=:,;()\[\]{}<>]*\Z")
_WORD_BEHIND = re.compile(r"[^\s\"'`,;()\[\]{}<>]*")


def _whole(text: str, entity: Entity) -> Entity:
    """A secret to the ends of its word: a model reads pieces of words, and what is left of a password gives it away."""
    if entity.label not in ("KEY", "TOKEN", "PASSWORD"):
        return entity
    before = _WORD_BEFORE.search(text, max(0, entity.start - _LONGEST), entity.start)
    behind = _WORD_BEHIND.match(text, entity.end, entity.end + _LONGEST)
    start = before.start() if before else entity.start
    end = behind.end() if behind else entity.end
    while end > entity.end and text[end - 1] in ".!?:":  # the sentence's
        end -= 1
    return replace(entity, start=start, end=end)


_LONGEST = 512


def _can_be(label: str, words: str) -> bool:
    """A key is long and has digits, which no name of a variable or a package is by chance; a password is no sign."""
    if label == "KEY":
        return len(words) >= 8 and any(map(str.isdigit, words))
    return label != "PASSWORD" or len(words) >= 4


def without_overlaps(entities: Iterable[Entity], key: Callable[[Entity], bool] = lambda entity: False) -> list[Entity]:
    """Keep the preferred, then surer, then longer of two that overlap; in reading order."""
    ranked = sorted(entities, key=lambda e: (not key(e), -e.score, e.start - e.end, e.start))
    kept: list[Entity] = []
    for entity in ranked:
        if all(entity.end <= other.start or entity.start >= other.end for other in kept):
            kept.append(entity)
    return sorted(kept, key=lambda e: e.start)


def entropy(text: str) -> float:
    """Shannon entropy of the characters, in bits per character."""
    return -sum(n / len(text) * math.log2(n / len(text)) for n in Counter(text).values()) if text else 0.0


def luhn(number: str) -> bool:
    """Whether the digits of a payment card number have a right check digit."""
    digits = [int(character) for character in number if character.isdigit()]
    if not 13 <= len(digits) <= 19 or len(set(digits)) < 2:
        return False
    doubled = [sum(divmod(2 * digit, 10)) for digit in digits[-2::-2]]
    return (sum(digits[-1::-2]) + sum(doubled)) % 10 == 0


def iban(number: str) -> bool:
    """Whether an international bank account number is right modulo 97 (ISO 7064)."""
    compact = number.replace(" ", "")
    moved = compact[4:] + compact[:4]
    return 15 <= len(compact) <= 34 and int("".join(str(int(c, 36)) for c in moved)) % 97 == 1


def token_checksum(token: str) -> bool:
    """Whether the last six characters are the CRC32 of those between prefix and checksum, in base 62."""
    body, check = token.rpartition("_")[2][:-6], token[-6:]
    alphabet = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"
    number, expected = zlib.crc32(body.encode()), ""
    for _ in range(6):
        number, digit = divmod(number, 62)
        expected = alphabet[digit] + expected
    return check == expected


def is_jwt(token: str) -> bool:
    """Whether the first part decodes to a JSON object with an algorithm."""
    header = token.partition(".")[0]
    try:
        decoded = json.loads(base64.urlsafe_b64decode(header + "=" * (-len(header) % 4)))
    except (binascii.Error, ValueError):
        return False
    return isinstance(decoded, dict) and "alg" in decoded


def _random(least: float) -> Callable[[str], bool]:
    return lambda value: entropy(value) >= least and not is_placeholder(value)


RULES: tuple[Rule, ...] = (
    Rule("TOKEN", CHECKSUM, re.compile(r"\b(?:gh[pousr]|npm)_[0-9A-Za-z]{36}\b"), token_checksum),
    Rule("TOKEN", 0.7, re.compile(r"\b(?:gh[pousr]|npm)_[0-9A-Za-z]{36}\b"), _random(3.5)),
    Rule("TOKEN", SHAPE, re.compile(r"\bgithub_pat_[0-9A-Za-z]{22}_[0-9A-Za-z]{59}\b"), _random(3.5)),
    Rule("TOKEN", SHAPE, re.compile(r"\bglpat-[0-9A-Za-z_-]{20,}\b"), _random(3.0)),
    Rule("TOKEN", SHAPE, re.compile(r"\bxox[abeoprs]-[0-9A-Za-z-]{10,}\b"), _random(2.5)),
    Rule("TOKEN", SHAPE, re.compile(r"\bpypi-AgE[0-9A-Za-z_-]{50,}\b"), _random(3.5)),
    Rule("TOKEN", SHAPE, re.compile(r"\bhf_[A-Za-z]{34}\b"), _random(3.5)),
    Rule(
        "TOKEN",
        CHECKSUM,
        re.compile(r"\beyJ[0-9A-Za-z_-]{8,}\.[0-9A-Za-z_-]{8,}\.[0-9A-Za-z_-]{16,}"),
        is_jwt,
    ),
    Rule("TOKEN", SHAPE, re.compile(r"(?i)\bbearer\s+([0-9a-z_.~+/-]{20,}=*)"), _random(3.0)),
    Rule("KEY", SHAPE, re.compile(r"\b(?:AKIA|ASIA)[A-Z2-7]{16}\b"), _random(2.5)),
    Rule("KEY", SHAPE, re.compile(r"\bAIza[0-9A-Za-z_-]{35}\b"), _random(3.5)),
    Rule("KEY", SHAPE, re.compile(r"\b[sr]k_(?:live|test)_[0-9A-Za-z]{16,}\b"), _random(3.0)),
    Rule("KEY", SHAPE, re.compile(r"\bsk-(?:proj-|ant-)?[0-9A-Za-z_-]{32,}"), _random(3.5)),
    Rule("KEY", SHAPE, re.compile(r"\bSG\.[0-9A-Za-z_-]{22}\.[0-9A-Za-z_-]{43}\b"), _random(3.5)),
    Rule("KEY", SHAPE, re.compile(r"\bAGE-SECRET-KEY-1[0-9A-Z]{58}\b")),
    Rule("KEY", SHAPE, re.compile(r"\bAccountKey=([0-9A-Za-z+/]{86}==)")),
    Rule(
        "KEY",
        SHAPE,
        re.compile(
            r"-----BEGIN (?:[A-Z]+ )*PRIVATE KEY-----[0-9A-Za-z+/=\s\\:,.-]{16,}?"
            r"(?:-----END (?:[A-Z]+ )*PRIVATE KEY-----|\Z)"
        ),
    ),
    Rule("ACCOUNT", CHECKSUM, re.compile(r"\b[A-Z]{2}\d{2}(?: ?[0-9A-Z]{4}){2,7}(?: ?[0-9A-Z]{1,3})?\b"), iban),
    Rule("ACCOUNT", CHECKSUM, re.compile(r"(?<![\w.-])[3-6]\d{3}(?:[ -]?\d){9,15}(?![\w.-]*\w)"), luhn),
    Rule(
        "PASSWORD",
        SHAPE,
        re.compile(r"\b[a-z][a-z0-9+.-]{1,20}://[^\s:/@'\"]{0,64}:([^\s:/@'\"]{3,128})@[\w.-]"),
        lambda value: not is_placeholder(value),
    ),
    Rule(
        "EMAIL",
        SHAPE,
        re.compile(
            r"(?<![\w.%+/:-])[A-Za-z0-9][\w.%+-]{0,63}@(?:[A-Za-z0-9-]{1,63}\.){1,4}[A-Za-z]{2,24}(?![\w:]|\.\w)"
        ),
    ),
    Rule("PHONE", SHAPE, re.compile(r"(?<![\w+])\+[1-9]\d{0,2}(?:[ ()/.-]{0,2}\d){7,12}(?!\w)")),
)

_ASSIGNMENT = re.compile(
    r"(?i)(?P<name>[\w.-]{0,40}?(?P<kind>passw(?:or)?d|passwd|pwd|passphrase|api[_-]?key|access[_-]?key|"
    r"secret(?:[_-]?key)?|private[_-]?key|signing[_-]?key|encryption[_-]?key|token))"
    r"[\"']?\]?\s{0,3}(?::=|=>|[:=])\s{0,3}(?P<quote>[\"'`]?)(?P<value>[^\s\"'`,;)}\]]{6,200})(?P=quote)"
)
_PLACEHOLDER = re.compile(
    r"(?i)^(x+|\*+|\.+|-+|none|null|true|false|undefined|password|secret|token|string|str|optional.*"
    r"|.*(example|placeholder|your[_-]|change[_-]?me|dummy|sample|todo|redacted|insert|replace).*)$"
    r"|^[$<{%&@]|[<(\[{]|\.\w+\.|^\w+(\.\w+)+$"
)


def is_placeholder(value: str) -> bool:
    """Whether a value stands for a secret rather than being one: `<token>`, `${PASS}`, `xxxx`, `settings.KEY`."""
    return len(set(value)) < 4 or _PLACEHOLDER.search(value) is not None


def _assignments(text: str) -> Iterator[Entity]:
    """Values assigned to names like `api_key`: random enough for keys, digits or quotes for passwords."""
    for match in _ASSIGNMENT.finditer(text):
        value, kind = match["value"], match["kind"].lower()
        if is_placeholder(value):
            continue
        if kind.startswith("pass") or kind == "pwd":
            # Unquoted words in code are names of other variables.
            if match["quote"] or re.search(r"\d", value):
                yield Entity("PASSWORD", ASSIGNED, *match.span("value"))
        elif len(value) >= 16 and entropy(value) >= 3.0 and re.search(r"\d", value):
            yield Entity("TOKEN" if kind == "token" else "KEY", ASSIGNED, *match.span("value"))
