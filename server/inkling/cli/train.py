"""`inkling train KIND RECIPE.toml`: make a tokenizer, a language model or a classifier from a recipe."""

from __future__ import annotations

import argparse
import importlib
import sys
from pathlib import Path
from typing import Any

KINDS = {
    "tokenizer": "a byte-level BPE tokenizer, and the corpus it is trained on",
    "causal": "a Llama-style language model, trained from nothing",
    "masked": "a BERT-style encoder, trained from nothing",
    "classifier": "a text classifier from labelled examples",
}
STEPS = {"causal": "loop.steps", "masked": "steps", "classifier": "steps"}
"""The recipe's key for the length of a run."""
STOPPED = 130
"""What a shell calls ended by Ctrl-C."""
EXTRA = "Install what training needs beside the server: pip install 'inkling-ls[train]'."


def add_parser(subparsers: Any) -> None:
    """Describe the arguments."""
    parser: argparse.ArgumentParser = subparsers.add_parser(
        "train",
        help="train a model from a recipe",
        description="Train a model from a recipe. An interrupted run resumes when the same command is given again.",
    )
    kinds = parser.add_subparsers(dest="kind", metavar="KIND", required=True)
    for kind, summary in KINDS.items():
        one = kinds.add_parser(kind, help=summary)
        one.add_argument("recipe", type=Path, metavar="RECIPE.toml")
        one.add_argument("--out", type=Path, metavar="DIR", help="where the run and its model go")
        one.add_argument(
            "--set", action="append", default=[], metavar="KEY=VALUE", help="change a key of the recipe, e.g. seed=2"
        )
        if kind in STEPS:
            one.add_argument("--device", metavar="NAME", help="auto, cpu, cuda or cuda:1")
            one.add_argument("--steps", type=int, metavar="N", help="how long to train")


def run(args: argparse.Namespace) -> int:
    """Train, and print the folder of the result; `STOPPED` when the user ended it early."""
    from inkling.training.errors import Stopped, TrainingError
    from inkling.training.recipe import parse_override

    overrides = dict(parse_override(text) for text in args.set)
    try:
        preflight = importlib.import_module("inkling.training.preflight")
        if args.kind in STEPS and args.device:
            overrides["device"] = args.device
        if args.kind in STEPS and args.steps is not None:
            overrides[STEPS[args.kind]] = str(args.steps)
        recipe = preflight.READ[args.kind](args.recipe, args.out, overrides)  # before what takes seconds to load
        result: Path = importlib.import_module(f"inkling.training.{args.kind}").run(recipe)
    except ImportError as error:
        if (error.name or "").partition(".")[0] == "inkling":
            raise
        raise TrainingError(f"{error.name or error} is not installed. {EXTRA}", reason="not-installed") from None
    except Stopped as stopped:
        print(f"inkling train: {stopped}", file=sys.stderr)
        return STOPPED
    except KeyboardInterrupt:
        goes_on = " The same command goes on from the last checkpoint." if args.kind in STEPS else ""
        print(f"inkling train: stopped.{goes_on}", file=sys.stderr)
        return STOPPED
    print(f"Trained. The {'tokenizer' if args.kind == 'tokenizer' else 'model'} and its card are in", file=sys.stderr)
    print(result)
    return 0
