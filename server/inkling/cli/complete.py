"""`inkling complete`: what a model writes after a text, as it comes."""

from __future__ import annotations

import argparse
import asyncio
import sys
from contextlib import aclosing
from typing import Any

from inkling.cli.pipes import add_file, engine, read


def add_parser(subparsers: Any) -> None:
    """Describe the arguments."""
    parser: argparse.ArgumentParser = subparsers.add_parser("complete", help="go on from standard input")
    add_file(parser)
    parser.add_argument("--model", default="starter:code", help="a causal model (default: %(default)s)")
    parser.add_argument(
        "--max-tokens", type=int, default=128, metavar="N", help="tokens at most (default: %(default)s)"
    )
    parser.add_argument("--temperature", type=float, default=0.0, help="0 always takes the likeliest (the default)")
    parser.add_argument("--stop", action="append", default=[], metavar="TEXT", help="end before this text; repeat")
    parser.add_argument("--echo", action="store_true", help="print the text itself first")


def run(args: argparse.Namespace) -> int:
    """Stream the continuation to standard output."""
    text = read(args.file)
    if args.echo:
        sys.stdout.write(text)
    asyncio.run(_complete(args, text))
    return 0


async def _complete(args: argparse.Namespace, text: str) -> None:
    from inkling.engine.protocol import GenerateRequest

    request = GenerateRequest(
        args.model,
        prompt=text,
        max_tokens=args.max_tokens,
        temperature=args.temperature,
        stop=tuple(args.stop),
        heal=True,
    )
    async with engine() as connection, aclosing(connection.generate(request)) as chunks:
        async for chunk in chunks:
            sys.stdout.write(chunk.text)
            sys.stdout.flush()
    sys.stdout.write("\n")
