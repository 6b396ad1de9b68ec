"""Why there is no suggestion, in words for the user. The slugs are stable; a test holds that each one used is here."""

from __future__ import annotations

from dataclasses import dataclass

DETAILS = {
    "disabled": "Completion is off: [complete] enabled = false.",
    "language-off": "Completion is off for this language: see [complete] languages.",
    "not-for-this-language": "The starter model knows code alone: see [complete] model and languages.",
    "excluded": "The file matches a glob in [complete] exclude.",
    "in-comment": "Completion is off in comments: [complete] comments = false.",
    "mid-line": "Text follows on this line. Ask for a suggestion by key to get one here.",
    "empty": "The model had nothing to add here.",
    "too-short": "The suggestion was too short to be worth a look.",
    "low-confidence": "The model was unsure: see [complete] min_confidence.",
    "duplicate-of-suffix": "The suggestion repeated what follows the cursor.",
    "duplicate-of-line-above": "The suggestion repeated the line above.",
    "repetition": "The model went round in circles.",
    "unmatched-bracket": "The suggestion closed a bracket that nothing had opened.",
    "superseded": "A newer request took its place.",
}


NOTICES = {
    "no-fim-tokens": "{model} knows no fill-in-the-middle, so completion shows it only what stands before the cursor.",
}
"""What an engine remarks about a model, in words that are said once."""


@dataclass(frozen=True, slots=True)
class Rejected:
    """A filter's verdict: nothing worth showing is left, and why."""

    reason: str


def detail(reason: str) -> str:
    """The sentence for a slug."""
    return DETAILS[reason]
