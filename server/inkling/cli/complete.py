"""`inkling complete`: what a model writes after a text, as it comes, and up to where an editor would stop it."""

from __future__ import annotations

import argparse
import asyncio
import sys
from collections.abc import AsyncGenerator
from contextlib import aclosing
from typing import TYPE_CHECKING, Any

from inkling.cli.model_name import model_name
from inkling.cli.pipes import add_file, engine, read, refuse_empty, settings

if TYPE_CHECKING:
    from inkling.engine.protocol import Chunk
    from inkling_plugins.completion.site import Site

_KNOWS = {"starter:code": "python"}
"""The one language that a model of ours was trained on; standard input is taken to be in it."""


def add_parser(subparsers: Any) -> None:
    """Describe the arguments."""
    parser: argparse.ArgumentParser = subparsers.add_parser(
        "complete",
        help="go on from standard input",
        description="Goes on to the end of the block, or up to where the model repeats itself, as in an editor.",
    )
    add_file(parser)
    parser.add_argument(
        "--model", type=model_name, default="", help="a causal model (default: as [complete] model says)"
    )
    parser.add_argument("--language", default="", metavar="ID", help="its language (default: as the file's name)")
    parser.add_argument(
        "--max-tokens", type=int, default=128, metavar="N", help="tokens at most (default: %(default)s)"
    )
    parser.add_argument("--temperature", type=float, default=0.0, help="0 always takes the likeliest (the default)")
    parser.add_argument("--stop", action="append", default=[], metavar="TEXT", help="end before this text; repeat")
    parser.add_argument("--echo", action="store_true", help="print the text itself first")
    parser.add_argument("--raw", action="store_true", help="print all that the model writes, repetitions too")


def run(args: argparse.Namespace) -> int:
    """Stream the continuation to standard output."""
    from inkling_plugins.completion.settings import CompleteSettings

    text = read(args.file, secrets=args.secret_files)
    refuse_empty(text, "complete")
    args.model = args.model or settings("complete", CompleteSettings).model
    language = args.language or _language(args)
    if (known := _KNOWS.get(args.model, language)) != language:
        words = f"{args.model} knows {known.title()} alone, so in {language} it guesses: name another --model"
        print(f"inkling complete: {words}", file=sys.stderr)
    if args.echo:
        sys.stdout.write(text)
    asyncio.run(_complete(args, text, language))
    return 0


def _language(args: argparse.Namespace) -> str:
    """What the text seems to be in."""
    from inkling.text.file_kinds import language_of

    return _KNOWS.get(args.model, "plaintext") if args.file == "-" else language_of(args.file)


async def _complete(args: argparse.Namespace, text: str, language: str) -> None:
    from inkling.engine.protocol import GenerateRequest
    from inkling_plugins.completion.site import Site

    request = GenerateRequest(
        args.model,
        prompt=text,
        max_tokens=args.max_tokens,
        temperature=args.temperature,
        stop=tuple(args.stop),
        heal=True,
    )
    site = Site(text[-_WINDOW:], "", language)
    async with engine() as connection, aclosing(connection.generate(request)) as chunks:
        pieces = _all(chunks) if args.raw else presentable(chunks, site)
        async with aclosing(pieces):
            async for piece in pieces:
                sys.stdout.write(piece)
                sys.stdout.flush()
    sys.stdout.write("\n")


_WINDOW = 8_000
"""Characters before the cursor that the filters look at, as in an editor."""


async def _all(chunks: AsyncGenerator[Chunk, None]) -> AsyncGenerator[str, None]:
    async for chunk in chunks:
        yield chunk.text


async def presentable(chunks: AsyncGenerator[Chunk, None], site: Site) -> AsyncGenerator[str, None]:
    """What of a generation an editor would show at `site`, piece by piece; why it is nothing goes to stderr."""
    from inkling_plugins.completion.present import Manners, Shown, present
    from inkling_plugins.completion.reasons import Rejected, detail

    manners = Manners(lines=True, least=0.0)
    text, tokens, shown = "", 0, ""
    view: Shown | Rejected | None = None
    async for chunk in chunks:
        text, tokens = text + chunk.text, tokens + chunk.tokens
        view = present(text, tokens, False, site, manners)
        if isinstance(view, Shown) and view.text.startswith(shown):
            yield view.text[len(shown) :]
            shown = view.text
        if isinstance(view, Rejected) or (view is not None and view.final):
            break
    else:
        view = present(text, tokens, True, site, manners)
        if isinstance(view, Shown) and view.text.startswith(shown):
            yield view.text[len(shown) :]
            shown = view.text
    if not shown and isinstance(view, Rejected):
        print(f"inkling complete: {detail(view.reason)}", file=sys.stderr)
