"""Model cards written by the run itself: what was trained, on what, with which result, and how far to trust it."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path


@dataclass(frozen=True)
class Result:
    """One measured figure, beside the baseline measured in the same way (where there is one)."""

    name: str
    value: float
    unit: str = ""
    baseline: str = ""
    baseline_value: float | None = None

    def row(self) -> str:
        """The figure as one line of a Markdown table."""
        peer = "–" if self.baseline_value is None else f"{self.baseline_value:.4g} ({self.baseline})"
        return f"| {self.name} | {self.value:.4g} {self.unit} | {peer} |".replace("  ", " ")


@dataclass(frozen=True)
class ModelCard:
    """A model card: the hub's YAML header, a summary, the run's facts, its figures and its limits."""

    name: str
    task: str
    summary: str
    limits: str
    license: str = "apache-2.0"
    library: str = "transformers"
    """What loads the folder by itself."""
    languages: Sequence[str] = ("en",)
    tags: Sequence[str] = ()
    base_model: str | None = None
    training: Mapping[str, object] = field(default_factory=dict)
    results: Sequence[Result] = ()
    sections: Mapping[str, str] = field(default_factory=dict)

    def render(self) -> str:
        """The card as Markdown with the hub's metadata header."""
        header: dict[str, object] = {
            "license": self.license,
            "language": list(self.languages),
            "library_name": self.library,
            "pipeline_tag": self.task,
            "tags": ["inkling", *self.tags],
        }
        if self.base_model:
            header["base_model"] = self.base_model
        # JSON values are YAML values: no YAML writer is needed
        parts = ["---", *(f"{key}: {json.dumps(value)}" for key, value in header.items()), "---", ""]
        parts += [f"# {self.name}", "", self.summary.strip(), ""]
        if self.results:
            parts += ["## Measured", "", "| what | value | baseline |", "|---|---|---|"]
            parts += [*(result.row() for result in self.results), ""]
        parts += ["## Limits", "", self.limits.strip(), ""]
        if self.training:
            parts += ["## Training", "", "| setting | value |", "|---|---|"]
            parts += [*(f"| {key} | {value} |" for key, value in self.training.items()), ""]
        for title, body in self.sections.items():
            parts += [f"## {title}", "", body.strip(), ""]
        return "\n".join(parts).rstrip() + "\n"

    def write(self, folder: Path) -> Path:
        """Write the card as ``README.md`` in the model's folder and return its path."""
        path = folder / "README.md"
        path.write_text(self.render(), encoding="utf-8")
        return path
