"""`inkling classify`: a label for each line of a text, as a filter in a pipe."""

from __future__ import annotations

import argparse
import asyncio
import json
from typing import Any

from inkling.cli.model_name import model_name
from inkling.cli.pipes import add_file, engine, read, refuse_empty, settings

BATCH = 256


def add_parser(subparsers: Any) -> None:
    """Describe the arguments."""
    parser: argparse.ArgumentParser = subparsers.add_parser("classify", help="label each line of standard input")
    add_file(parser)
    parser.add_argument(
        "--model", type=model_name, default="", help="a text-classification model (default: as [classify] model says)"
    )
    parser.add_argument("--labels", default="", metavar="A,B,…", help="labels to choose from, by a zero-shot model")
    parser.add_argument("--whole", action="store_true", help="label the text as one")
    parser.add_argument("--json", action="store_true", help='one {"text", "labels": {label: score}} per line')


def run(args: argparse.Namespace) -> int:
    """Print `label<TAB>score<TAB>line` for each line that is not blank."""
    text = read(args.file, secrets=args.secret_files)
    texts = [text] if args.whole else [line for line in text.splitlines() if line.strip()]
    refuse_empty(text, "classify")
    asyncio.run(_classify(args, texts))
    return 0


async def _classify(args: argparse.Namespace, texts: list[str]) -> None:
    from inkling_plugins.classify import Classify

    candidates = [label.strip() for label in args.labels.split(",") if label.strip()]
    model = args.model or ("starter:encoder" if candidates else settings("classify", Classify.Settings).model)
    async with engine() as connection:
        for start in range(0, len(texts), BATCH):
            batch = texts[start : start + BATCH]
            if candidates:
                found = await connection.zero_shot(batch, candidates, model=model)
            else:
                found = await connection.classify(batch, model=model)
            for text, labels in zip(batch, found, strict=True):
                if args.json:
                    scores = {label.label: round(label.score, 4) for label in labels}
                    print(json.dumps({"text": text, "labels": scores}, ensure_ascii=False), flush=True)
                else:
                    print(f"{labels[0].label}\t{labels[0].score:.3f}\t{' '.join(text.split())}", flush=True)
