"""`inkling tokens FILE…`: exact token counts under a model's own tokenizer, without loading the model."""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path
from typing import Any

from inkling.cli.model_name import model_name
from inkling.cli.pipes import add_secret_files, refuse_secrets
from inkling.errors import InklingError


def add_parser(subparsers: Any) -> None:
    """Describe the arguments."""
    parser: argparse.ArgumentParser = subparsers.add_parser("tokens", help="count the tokens of files")
    parser.add_argument("files", nargs="+", metavar="FILE", help="text files; - is standard input")
    add_secret_files(parser)
    parser.add_argument(
        "--model", type=model_name, default="starter:code", help="whose tokenizer (default: %(default)s)"
    )
    parser.add_argument("--json", action="store_true", help='one {"file", "tokens", "model"} per line')


def run(args: argparse.Namespace) -> int:
    """Print one line per file; a file that cannot be read is told on stderr and gives status 2."""
    tokenizer = _tokenizer(args.model)
    total, failed = 0, False
    for name in args.files:
        try:
            if name != "-" and not args.secret_files:
                refuse_secrets(name)
            text = sys.stdin.read() if name == "-" else Path(name).read_text(encoding="utf-8")
        except InklingError as error:
            print(f"inkling tokens: {error}", file=sys.stderr)
            failed = True
            continue
        except UnicodeDecodeError:
            print(f"inkling tokens: {name} is not UTF-8 text", file=sys.stderr)
            failed = True
            continue
        except OSError as error:
            print(f"inkling tokens: {name}: {error.strerror}", file=sys.stderr)
            failed = True
            continue
        tokens = len(tokenizer.encode(text, add_special_tokens=False).ids)
        total += tokens
        print(
            json.dumps({"file": name, "tokens": tokens, "model": args.model}) if args.json else f"{tokens:>10,}  {name}"
        )
    if len(args.files) > 1 and not args.json:
        print(f"{total:>10,}  total")
    return 2 if failed else 0


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
