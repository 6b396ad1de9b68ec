"""A rule: this task, this model, on this text, at this surface, shown so."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import Literal

from inkling_plugins.rules.message import PROMPT_FIELDS, REDACTION_FIELDS, template_problem
from inkling_plugins.rules.on import On, parse_on

Level = Literal["error", "warning", "information", "hint", "off"]
TaskName = Literal[
    "text-classification",
    "zero-shot-classification",
    "token-classification",
    "feature-extraction",
    "fill-mask",
    "question-answering",
    "summarization",
    "translation",
    "text-generation",
]
SurfaceName = Literal["diagnostics", "hover", "code-lens", "code-action", "command", "semantic-tokens", "inlay-hint"]
NOTHING = frozenset({"none", "O"})
"""What classifiers call it when there is nothing to say: shows where a rule names it, and else does not."""
USUAL: Mapping[str, Mapping[str, Level]] = {
    "starter:tone": {"hostile": "warning", "neutral": "off", "constructive": "off"},
    "starter:injection": {"injection": "warning", "benign": "off"},
    "starter:debt": {"debt": "information", "none": "off"},
}
"""By starter, how a label shows where a rule names none."""
READS = frozenset({"text-classification", "zero-shot-classification", "token-classification"})
"""Tasks whose results are findings: they may show at every surface, and are remembered."""
SURFACES: Mapping[str, frozenset[str]] = {
    **dict.fromkeys(
        READS,
        frozenset({"diagnostics", "hover", "code-lens", "code-action", "command", "semantic-tokens", "inlay-hint"}),
    ),
    "feature-extraction": frozenset({"diagnostics"}),
    **dict.fromkeys(
        ("fill-mask", "question-answering", "summarization", "translation", "text-generation"),
        frozenset({"code-lens", "code-action", "command"}),
    ),
}
MODELS: Mapping[str, str] = {
    "text-classification": "starter:tone",
    "zero-shot-classification": "starter:encoder",
    "token-classification": "starter:secrets",
    "feature-extraction": "starter:encoder",
    "summarization": "starter:summary",
    "text-generation": "starter:code",
}
"""What a rule without a model means."""


@dataclass(frozen=True)
class Rule:
    """One table `[[rule]]`. Tables of one name are one rule, merged key by key through the layers of settings."""

    name: str = ""
    """What the rule is called: in diagnostics, in ignore comments, and to change it in another file."""
    enabled: bool = True
    """Off here switches off a rule of the same name of a layer below."""
    task: TaskName = "text-classification"
    """The model's job, in Hugging Face's terms."""
    model: str = field(default="", metadata={"scope": "model"})
    """A hub id, a folder or `starter:…`; left out, the starter for the task."""
    on: tuple[str, ...] = ("prose",)
    """The text that is read: kinds (`comments`), languages (`markdown`), both (`python:strings`), globs, queries."""
    surface: SurfaceName = "diagnostics"
    """Where the result shows."""
    when: Literal["typing", "save", "demand"] = "typing"
    """When the model is asked: as one types, when the file is opened or saved, or by the command "Run a rule"."""
    unit: Literal["auto", "sentence", "whole"] = "auto"
    """Read sentence by sentence or each text whole; `auto`: prose by the sentence for classifiers, all else whole."""
    labels: Mapping[str, Level] = field(default_factory=dict)
    """How each label shows; with any named, labels that are not named are off, unless `*` is among them."""
    severity: Level = "information"
    """How a label shows, if `labels` names none; `none`, `O` and a starter's own like them (`neutral`) are off."""
    threshold: float = field(default=0.5, metadata={"min": 0.0, "max": 1.0})
    """The least score that shows."""
    thresholds: Mapping[str, float] = field(default_factory=dict, metadata={"min": 0.0, "max": 1.0})
    """The least score that shows, by label."""
    candidates: tuple[str, ...] = ()
    """The labels to choose from, for zero-shot-classification."""
    hypothesis: str = ""
    """The sentence that a candidate is judged in, with `{}` for it, for zero-shot-classification."""
    multi_label: bool = False
    """Show every label above its threshold and not the best alone."""
    message: str = ""
    """What a finding says, such as `Reads as {label} ({score:.0%})`; it may name `{text}`, `{rule}`, `{model}` too."""
    messages: Mapping[str, str] = field(default_factory=dict)
    """What a finding says, by label."""
    code: str = ""
    """The code shown with a finding; left out, `name/label`."""
    href: str = ""
    """A page about the rule, which the code links to."""
    redaction: str = "[{label}]"
    """What "Redact" puts in a found span's place, for token-classification."""
    max_results: int = field(default=100, metadata={"min": 1, "max": 10_000})
    """Findings shown in one document; the rest are counted in one line."""
    min_words: int = field(default=0, metadata={"min": 0})
    """Shorter texts are not read; 0: three words for sentences, one for whole texts."""
    title: str = ""
    """What its code action, code lens or command is called; left out, its name."""
    prompt: str = ""
    """What the model is asked, for text-generation; `{selection}`, `{language}` and `{file}` stand for themselves."""
    question: str = ""
    """What is asked of the text, for question-answering."""
    source_language: str = ""
    """The language translated from, in the model's own words."""
    target_language: str = ""
    """The language translated into, in the model's own words."""
    output: Literal["show", "replace", "above", "below"] = "show"
    """Where a written result goes: shown beside, or into the document."""
    max_tokens: int = field(default=256, metadata={"min": 1, "max": 32_768})
    """Tokens that a model writes at most."""
    origin: str = field(default="", metadata={"origin": True})
    """The files and lines it was written at, the one with the last word first."""
    given: tuple[str, ...] = field(default=(), metadata={"given": True})
    """The keys that are written there."""

    def complaints(self) -> Iterator[tuple[str, str]]:
        """(key, what is wrong with it) beyond types."""
        if not re.fullmatch(r"[A-Za-z0-9_-]{1,64}", self.name):
            yield "name", "has letters, digits, - and _ alone, up to 64: it is a part of settings and of comments."
        try:
            self.reads  # noqa: B018 - parsed for its complaint
        except ValueError as error:
            yield "on", str(error)
        if self.surface not in SURFACES[self.task]:
            fitting = ", ".join(sorted(SURFACES[self.task]))
            yield "surface", f'is "{self.surface}", where {self.task} shows nothing; it can show at {fitting}.'
        if not self.model and self.task not in MODELS:
            yield "model", f"is needed: no model for {self.task} ships with Inkling."
        for key, text in [("message", self.message), *((f"messages.{k}", v) for k, v in self.messages.items())]:
            if words := template_problem(text):
                yield key, words
        if words := template_problem(self.redaction, REDACTION_FIELDS):
            yield "redaction", words
        yield from self._about_the_task()

    def _about_the_task(self) -> Iterator[tuple[str, str]]:
        if self.task == "zero-shot-classification" and not self.candidates:
            yield "candidates", 'are needed for zero-shot-classification: candidates = ["…", "…"].'
        if self.hypothesis and self.hypothesis.count("{}") != 1:
            yield "hypothesis", "needs {} once, where the label goes."
        if self.task == "text-generation":
            if not self.prompt:
                yield "prompt", "is needed for text-generation."
            elif words := template_problem(self.prompt, PROMPT_FIELDS):
                yield "prompt", words
        if self.task == "question-answering" and not self.question:
            yield "question", "is needed for question-answering."
        if self.candidates and (strange := [label for label in self.labels if label not in (*self.candidates, "*")]):
            yield f"labels.{strange[0]}", f"is none of the candidates: {', '.join(self.candidates)}."
        if self.href and not self.href.startswith(("https://", "http://", "file://")):
            yield "href", "is no address: it begins with https:// or file://."

    @property
    def placed_name(self) -> str:
        """The name and where it is written, for what is said of the rule."""
        return f"{self.name} ({self.origin})" if self.origin else self.name

    @cached_property
    def reads(self) -> On:
        """`on` in parts; raises ValueError."""
        return parse_on(self.on)

    def words(self, label: str) -> str:
        """The message template of a label."""
        usual = "{label} ({score:.0%})" if self.task == "token-classification" else "Reads as {label} ({score:.0%})"
        return self.messages.get(label) or self.message or usual

    @property
    def model_id(self) -> str:
        """The model, or the task's starter."""
        return self.model or MODELS[self.task]

    def by_sentence(self, prose: bool) -> bool:
        """Whether a text, prose or not, is read by the sentence."""
        return self.unit == "sentence" or (self.unit == "auto" and prose and self.task != "token-classification")

    @property
    def job(self) -> tuple[object, ...]:
        """What decides about a model's answer, besides the text."""
        extra = (self.candidates, self.hypothesis, self.multi_label) if self.candidates else ()
        return (self.task, self.model_id, *extra)

    @property
    def named_labels(self) -> list[str]:
        """The labels that the rule speaks of, each once."""
        return [label for label in dict.fromkeys((*self.labels, *self.thresholds, *self.messages)) if label != "*"]

    def level(self, label: str) -> Level:
        """How a label shows. One that says that there is nothing shows only where it is named itself."""
        if label in self.labels:
            return self.labels[label]
        if label in NOTHING:
            return "off"
        rest: Level = "off" if self.labels else self.usual.get(label, self.severity)
        return self.labels.get("*", rest)

    @property
    def usual(self) -> Mapping[str, Level]:
        """How the starter's labels show where the rule names none; a `severity` of its own leaves what is off."""
        usual = USUAL.get(self.model_id, {})
        own = "severity" in self.given
        return {label: self.severity if own and level != "off" else level for label, level in usual.items()}

    def least(self, label: str) -> float:
        """The score from which a label shows."""
        return self.thresholds.get(label, self.threshold)
