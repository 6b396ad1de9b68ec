"""Translation with an encoder-decoder model."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any

from inkling.engine.backend import Stop
from inkling.engine.models.load import Weights
from inkling.engine.protocol import Task
from inkling.engine.tasks.base import TaskModel, text_of
from inkling.engine.tasks.seq2seq import Stopped, TextToText
from inkling.engine.tasks.splitting import pack
from inkling.errors import InklingError


class Translation(TaskModel):
    """Input: a string. Result: `{"translation_text"}`. Line breaks, indentation and blank lines stay as they are.

    Parameters: `src_lang`, `tgt_lang` (the model's own codes, such as `eng_Latn` for NLLB or `en` for M2M100; whole
    names such as `English` for T5), `max_new_tokens`, `num_beams`. Each line is translated by itself, a long one
    sentence by sentence.
    """

    task = Task.TRANSLATION

    def __init__(self, weights: Weights) -> None:
        super().__init__(weights)
        self._writer = TextToText(weights)
        self._tokenizer: Any = weights.tokenizer
        config: Any = weights.model.config
        self._specific: Mapping[str, Any] = getattr(config, "task_specific_params", None) or {}
        self._prefix = str(getattr(config, "prefix", None) or "")
        self._is_t5 = config.model_type in ("t5", "mt5", "umt5", "longt5")

    def run(self, inputs: Sequence[Any], parameters: Mapping[str, Any], stop: Stop) -> list[Any]:
        """One translation per input."""
        source, target = (str(parameters.get(name) or "") for name in ("src_lang", "tgt_lang"))
        prefix, forced = self._languages(source, target)
        results: list[Any] = []
        try:
            for item in inputs:
                lines = re.split(r"(\r\n|\r|\n)", text_of(self.task, item))
                translated = [self._line(line, prefix, forced, parameters, stop) for line in lines]
                results.append({"translation_text": "".join(translated)})
        except Stopped:
            pass
        return results

    def _line(
        self, line: str, prefix: str, forced: Mapping[str, Any], parameters: Mapping[str, Any], stop: Stop
    ) -> str:
        if not line.strip():
            return line
        indent, end = line[: len(line) - len(line.lstrip())], line[len(line.rstrip()) :]
        parts = pack(line.strip(), lambda part: self._writer.tokens(prefix + part) <= self._writer.max_length)
        return indent + " ".join(self._writer.write(prefix + part, parameters, stop, **forced) for part in parts) + end

    def _languages(self, source: str, target: str) -> tuple[str, dict[str, Any]]:
        """(text to put before the input, options for generation). Raises InklingError `bad-parameter`."""
        codes = self._codes()
        if codes:
            if target and target not in codes:
                raise self._unknown(target, codes)
            if source and source not in codes:
                raise self._unknown(source, codes)
            if source and hasattr(self._tokenizer, "src_lang"):
                self._tokenizer.src_lang = source
            return self._prefix, {"forced_bos_token_id": codes[target]} if target else {}
        if self._is_t5:
            if source and target:
                return f"translate {source} to {target}: ", {}
            own = [params for name, params in self._specific.items() if name.startswith("translation")]
            return str(own[0].get("prefix", "")) if own else self._prefix, {}
        if target and (code := self._marian_code(target)):
            return f"{code} ", {}
        return self._prefix, {}  # a model for one pair of languages: it has no choice

    def _codes(self) -> dict[str, int]:
        """Language code → token id, for models that are told the target by a first token."""
        codes = getattr(self._tokenizer, "lang_code_to_id", None)
        if codes:
            return {str(code): int(id) for code, id in codes.items()}
        found: dict[str, int] = {}
        for token in getattr(self._tokenizer, "all_special_tokens", ()):
            if match := re.fullmatch(r"(?:__)?([a-z]{2,3}(?:_[A-Z][A-Za-z]{1,3})?)(?:__)?", token):
                found[match[1]] = int(self._tokenizer.convert_tokens_to_ids(token))
        return found

    def _marian_code(self, target: str) -> str:
        token = f">>{target}<<"
        return token if token in self._tokenizer.get_vocab() else ""

    def _unknown(self, code: str, codes: Mapping[str, int]) -> InklingError:
        some = ", ".join(sorted(codes)[:12])
        return InklingError(
            "bad-parameter", f'{self.id} does not know the language "{code[:40]}".', f"It knows {some} and so on."
        )
