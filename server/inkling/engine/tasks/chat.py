"""Summarization and translation with an instruction-following causal model, through its chat template."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from inkling.engine.backend import LoadedModel, Stop
from inkling.engine.protocol import Chunk, GenerateRequest, Task
from inkling.engine.tasks.base import number, text_of


class ChatTask:
    """Satisfies `LoadedModel`: a text generator that is given one instruction per input.

    Results are those of `Summarization` and `Translation`. Parameters: `max_new_tokens` (128 for a summary, the
    input's length and a half for a translation), `max_sentences`, `src_lang`, `tgt_lang`.
    """

    def __init__(self, generator: LoadedModel, task: str) -> None:
        self._generator = generator
        self.task = task
        self.id = generator.id
        self.device = generator.device
        self.quantization = generator.quantization
        self.quantization_why = generator.quantization_why

    @property
    def bytes(self) -> int:
        """The generator's memory."""
        return self._generator.bytes

    def run(self, inputs: Sequence[Any], parameters: Mapping[str, Any], stop: Stop) -> list[Any]:
        """One result per input."""
        results: list[Any] = []
        for item in inputs:
            text = text_of(self.task, item)
            written = "".join(chunk.text for chunk in self._generator.generate(self._request(text, parameters), stop))
            if stop.is_set or stop.is_late:
                break
            if self.task == Task.SUMMARIZATION:
                results.append({"summary_text": written.strip(), "kind": "abstractive", "spans": []})
            else:
                results.append({"translation_text": written.strip()})
        return results

    def generate(self, request: GenerateRequest, stop: Stop) -> Iterator[Chunk]:
        """The generator's own stream."""
        return self._generator.generate(request, stop)

    def counters(self) -> Mapping[str, int]:
        """The generator's counters."""
        return self._generator.counters()

    def close(self) -> None:
        """Free the memory."""
        self._generator.close()

    def _request(self, text: str, parameters: Mapping[str, Any]) -> GenerateRequest:
        if self.task == Task.SUMMARIZATION:
            sentences = number(parameters, "max_sentences", 3, 1, 100)
            instruction = (
                f"Summarize the user's text in at most {sentences} sentence{'s' if sentences > 1 else ''}, in the "
                "text's own language. Reply with the summary alone."
            )
            limit = 128
        else:
            source, target = (str(parameters.get(name) or "")[:60] for name in ("src_lang", "tgt_lang"))
            instruction = (
                f"Translate the user's text{f' from {source}' if source else ''} into {target or 'English'}. Keep line "
                "breaks and markup. Reply with the translation alone."
            )
            limit = 64 + len(text) // 2
        return GenerateRequest(
            model=self.id,
            messages=({"role": "system", "content": instruction}, {"role": "user", "content": text}),
            max_tokens=number(parameters, "max_new_tokens", min(limit, 4096), 1, 16_384),
        )
