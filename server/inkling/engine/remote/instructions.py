"""Summaries and translations from a chat model elsewhere, in the words that a local one gets."""

from __future__ import annotations

from inkling.engine.protocol import GenerateRequest, Priority


def summary_request(text: str, model: str, sentences: int, max_tokens: int, priority: Priority) -> GenerateRequest:
    """A chat that asks for a summary."""
    instruction = (
        f"Summarize the user's text in at most {sentences} sentence{'s' if sentences > 1 else ''}, in the text's own "
        "language. Reply with the summary alone."
    )
    return _request(instruction, text, model, max_tokens, priority)


def translation_request(text: str, model: str, source: str, target: str, priority: Priority) -> GenerateRequest:
    """A chat that asks for a translation."""
    instruction = (
        f"Translate the user's text{f' from {source[:60]}' if source else ''} into {target[:60] or 'English'}. Keep "
        "line breaks and markup. Reply with the translation alone."
    )
    return _request(instruction, text, model, min(64 + len(text) // 2, 4096), priority)


def _request(instruction: str, text: str, model: str, max_tokens: int, priority: Priority) -> GenerateRequest:
    messages = ({"role": "system", "content": instruction}, {"role": "user", "content": text})
    return GenerateRequest(model, messages=messages, max_tokens=max_tokens, priority=priority)
