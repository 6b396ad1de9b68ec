"""One file per Hugging Face task: tokenize, run the model, decode the logits.

`task_class` says which class runs a task with a given model; each takes a loaded model (`Weights`) and satisfies
`inkling.engine.backend.LoadedModel`. Import submodules; this file stays light.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

from inkling.engine.protocol import Task

if TYPE_CHECKING:
    from inkling.engine.models.catalog import ModelSource

_CLASSES = {
    Task.TEXT_CLASSIFICATION: ("text_classification", "TextClassification"),
    Task.TOKEN_CLASSIFICATION: ("token_classification", "TokenClassification"),
    Task.ZERO_SHOT_CLASSIFICATION: ("zero_shot", "EntailmentZeroShot"),
    Task.SUMMARIZATION: ("summarization", "Summarization"),
    Task.TRANSLATION: ("translation", "Translation"),
    Task.QUESTION_ANSWERING: ("question_answering", "QuestionAnswering"),
    Task.FILL_MASK: ("fill_mask", "FillMask"),
    Task.FEATURE_EXTRACTION: ("feature_extraction", "FeatureExtraction"),
}
_BY_SENTENCE_VECTORS = {
    Task.ZERO_SHOT_CLASSIFICATION: ("zero_shot", "EmbeddingZeroShot"),
    Task.SUMMARIZATION: ("key_sentences", "KeySentences"),
}


def task_class(source: ModelSource, task: str) -> Any:
    """The class that runs `task` with this model: by its own head, or, for a bare sentence encoder, by its vectors."""
    by_vectors = uses_vectors(source, task)
    module, name = (_BY_SENTENCE_VECTORS if by_vectors else _CLASSES)[Task(task)]
    return getattr(importlib.import_module(f"inkling.engine.tasks.{module}"), name)


def uses_vectors(source: ModelSource, task: str) -> bool:
    """Whether a task without a head of its own is done with sentence embeddings."""
    architectures = source.config.get("architectures") or ()
    bare = all(not str(name).partition("For")[1] and not str(name).endswith("MTModel") for name in architectures)
    return bare and task in _BY_SENTENCE_VECTORS
