"""`inkling bench complete` on packages that the starter has not seen: what an editor would have shown.

Each choice of quantization is measured by a server and an engine of its own, manners and copies included.
"""

from __future__ import annotations

import importlib.metadata
import json
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

from bench.row import Row, row
from inkling.training.recipe import load_recipe
from inkling.training.tokenizer_recipe import TokenizerRecipe

ROOT = Path(__file__).parents[1]
LONGEST_S = 900


def rows(quick: bool = False) -> list[Row]:
    """Exact and right suggestions, how often none is shown, and how late the first text comes."""
    with tempfile.TemporaryDirectory() as name:
        files = _held_out(Path(name))
        if not files:
            print(
                "quality: none of the held-out packages is installed here, so there is nothing to measure on",
                file=sys.stderr,
            )
            return []
        found = []
        for quantization in ("auto",) if quick else ("auto", "none"):
            figures = _measure(Path(name), quantization, 24 if quick else 150)
            found += _rows(quantization, figures) if figures is not None else []
        return found


def _held_out(folder: Path) -> list[Path]:
    """Copies of the held-out packages' sources, each package in a folder of its own."""
    recipe = load_recipe(ROOT / "models/recipes/tokenizer.toml", TokenizerRecipe)
    copied = []
    for package in recipe.corpus.held_out:
        try:
            files = importlib.metadata.files(package) or []
        except importlib.metadata.PackageNotFoundError:
            continue
        for file in files:
            source = Path(str(file.locate()))
            if file.suffix == ".py" and ".." not in file.parts and source.is_file():
                target = folder / file
                target.parent.mkdir(parents=True, exist_ok=True)
                shutil.copy(source, target)
                copied.append(target)
    return copied


def _measure(folder: Path, quantization: str, holes: int) -> dict[str, Any] | None:
    """The command's figures; None, told, when it gave none."""
    command = [sys.executable, "-m", "inkling", "bench", "complete", str(folder), "--json"]
    command += ["--holes", str(holes), "--quantization", quantization]
    try:
        done = subprocess.run(command, stdout=subprocess.PIPE, text=True, timeout=LONGEST_S)
    except subprocess.TimeoutExpired:
        print(f"quality, {quantization}: not done within {LONGEST_S} s", file=sys.stderr)
        return None
    lines = done.stdout.splitlines()
    figures: dict[str, Any] | None = json.loads(lines[-1]) if lines else None
    if figures is None or figures["error"] or not figures["asked"]:
        print(f"quality, {quantization}: {(figures or {}).get('error') or 'no figures'}", file=sys.stderr)
        return None
    return figures


def _rows(quantization: str, figures: dict[str, Any]) -> list[Row]:
    title = f"completion/quality, starter {quantization}"
    asked, shown = figures["asked"], max(1, figures["shown"])
    return [
        row(f"{title}, exact lines of all holes", figures["exact"] / asked, "share", better="more"),
        row(f"{title}, right as far as shown", figures["right"] / shown, "share", better="more"),
        row(f"{title}, edit similarity of what is shown", figures["shown_similarity"], "share", better="more"),
        row(f"{title}, holes without a suggestion", figures["suppressed_rate"], "share", better="less"),
        row(f"{title}, first text p50", figures["first_ms_p50"], "ms", better="less", peer="target", peer_value=100.0),
        row(f"{title}, memory", figures["model_bytes"] / 1e6, "MB", better="less"),
    ]
