"""`inkling tokens PATH…`: exact token counts under a model's own tokenizer, without loading the model."""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from inkling.cli.model_name import model_name
from inkling.cli.pipes import add_secret_files, read, secret_files
from inkling.errors import InklingError


def add_parser(subparsers: Any) -> None:
    """Describe the arguments."""
    parser: argparse.ArgumentParser = subparsers.add_parser("tokens", help="count the tokens of files")
    parser.add_argument("files", nargs="+", metavar="PATH", help="text files, or folders of them; - is standard input")
    add_secret_files(parser)
    parser.add_argument(
        "--model", type=model_name, default="starter:code", help="whose tokenizer (default: %(default)s)"
    )
    parser.add_argument("--json", action="store_true", help='one {"file", "tokens", "model"} per line')


def run(args: argparse.Namespace) -> int:
    """Print one line per file; a file that was named and cannot be read is told on stderr and gives status 2."""
    tokenizer = _tokenizer(args.model)
    total, counted, failed = 0, 0, False
    for name, asked_for in _files(args.files, secrets=args.secret_files):
        try:
            text = read(name, secrets=args.secret_files or not asked_for)
        except InklingError as error:
            if asked_for or error.reason not in ("binary", "not-utf-8"):
                print(f"inkling tokens: {error}", file=sys.stderr)
                failed = True
            continue
        tokens = len(tokenizer.encode(text, add_special_tokens=False).ids)
        total, counted = total + tokens, counted + 1
        print(
            json.dumps({"file": name, "tokens": tokens, "model": args.model}) if args.json else f"{tokens:>10,}  {name}"
        )
    if max(counted, len(args.files)) > 1 and not args.json:
        print(f"{total:>10,}  total")
    return 2 if failed else 0


def _files(names: list[str], *, secrets: bool) -> Iterator[tuple[str, bool]]:
    """(name, whether it was named itself); of a folder the files that git would not ignore, without secret ones."""
    from inkling.check.files import placed
    from inkling.text.walk import paths

    secret = secret_files()
    for name in names:
        folder = Path(name)
        if name == "-" or not folder.is_dir():
            yield name, True
            continue
        for path in paths(placed(folder)):
            if secrets or not secret(path):
                yield str(folder / path.relative_to(placed(folder))), False


def _tokenizer(model: str) -> Any:
    from tokenizers import Tokenizer

    from inkling.engine.models.catalog import resolve

    path = resolve(model, root=Path.cwd()).path / "tokenizer.json"
    if not path.is_file():
        raise InklingError("no-tokenizer", f"{model} has no tokenizer.json.", "Name a model with a fast tokenizer.")
    tokenizer = Tokenizer.from_file(str(path))
    tokenizer.no_truncation()
    tokenizer.no_padding()
    return tokenizer
