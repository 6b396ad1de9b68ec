"""`inkling summarize`: a summary of a text, as a filter in a pipe."""

from __future__ import annotations

import argparse
import asyncio
import sys
from typing import Any

from inkling.cli.model_name import model_name
from inkling.cli.pipes import add_file, engine, read, refuse_empty, settings


def add_parser(subparsers: Any) -> None:
    """Describe the arguments."""
    parser: argparse.ArgumentParser = subparsers.add_parser("summarize", help="summarize standard input")
    add_file(parser)
    parser.add_argument(
        "--model", type=model_name, default="", help="a summarization model (default: as [summarize] model says)"
    )
    parser.add_argument("-n", "--sentences", type=int, default=3, help="sentences at most (default: %(default)s)")


def run(args: argparse.Namespace) -> int:
    """Print the summary; of a long text, the summary of its parts' summaries."""
    text = read(args.file, secrets=args.secret_files)
    refuse_empty(text, "summarize")
    prose = _prose(args.file, text)
    summary, kind = asyncio.run(_summarize(args, prose))
    print(summary.strip())
    if kind == "key-sentences" and len(summary.split()) >= len(prose.split()):
        words = f"the text is short already: its key sentences, of {args.sentences} at most, are all of it"
        print(f"inkling summarize: {words}", file=sys.stderr)
    return 0


def _prose(name: str, text: str) -> str:
    """The paragraphs and list items of Markdown, as standard input is taken to be; of code, comments and docstrings."""
    from inkling.api import SegmentKind, Snapshot, segments
    from inkling.text.file_kinds import language_of

    document = Snapshot.of(text, language="markdown" if name == "-" else language_of(name))
    kinds = (SegmentKind.PARAGRAPH, SegmentKind.LIST_ITEM, SegmentKind.COMMENT, SegmentKind.DOCSTRING)
    return "\n\n".join(segment.text for segment in segments(document, kinds)) or text


async def _summarize(args: argparse.Namespace, text: str) -> tuple[str, str]:
    """The summary and its kind."""
    from inkling_plugins.map_reduce import summarize_long
    from inkling_plugins.summarize import Summarize

    model = args.model or settings("summarize", Summarize.Settings).model
    async with engine() as connection:

        async def one(part: str) -> Any:
            return await connection.summarize(part, model=model, max_sentences=args.sentences)

        summary = await summarize_long(text, 6000, one, lambda plan: None)
    return str(summary.text), str(summary.kind)
