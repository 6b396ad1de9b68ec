"""`inkling ask "question" FILE…`: where a text answers a question, as the editor's "Ask This Document" finds it."""

from __future__ import annotations

import argparse
import asyncio
import json
import sys
from pathlib import Path
from typing import Any

from inkling.api import Snapshot
from inkling.cli.model_name import model_name
from inkling.cli.pipes import add_secret_files


def add_parser(subparsers: Any) -> None:
    """Describe the arguments."""
    parser: argparse.ArgumentParser = subparsers.add_parser("ask", help="find where a text answers a question")
    parser.add_argument("question")
    parser.add_argument("file", metavar="FILE", help="a text file; - is standard input")
    add_secret_files(parser)
    parser.add_argument(
        "--model",
        type=model_name,
        help="a question-answering model (default: as [ask] model says, else closest sentences)",
    )
    parser.add_argument("-n", "--answers", type=int, help="how many places to print (default: as [ask] answers says)")
    parser.add_argument("--json", action="store_true", help='one {"line", "start", "end", "text", "score"} per line')


def run(args: argparse.Namespace) -> int:
    """Print the places, best first, as `line: text (score)`; how they were found goes to stderr."""
    from inkling.cli.pipes import read
    from inkling.text.file_kinds import language_of

    text = read(args.file, secrets=args.secret_files)
    language = "markdown" if args.file == "-" else language_of(args.file)
    snapshot = Snapshot.of(text, uri=f"untitled:{args.file}", language=language)
    found = asyncio.run(_ask(args, snapshot))
    print(found.told, file=sys.stderr)
    for place in found.places:
        line = snapshot.position(place.start).line + 1
        row = {"line": line, "start": place.start, "end": place.end, "text": place.text, "score": round(place.score, 4)}
        print(json.dumps(row, ensure_ascii=False) if args.json else f"{line}: {place.text} ({place.score:.2f})")
    return 0


async def _ask(args: argparse.Namespace, snapshot: Snapshot) -> Any:
    from dataclasses import replace

    from inkling.engine.client import connect
    from inkling.engine.settings import EngineSettings
    from inkling.settings import load_for
    from inkling_plugins.answers import ClosestSentences
    from inkling_plugins.ask import Ask, ask

    loaded = load_for(Path.cwd())
    settings, _ = loaded.build("ask", Ask.Settings)
    given = {"model": args.model, "answers": args.answers}
    settings = replace(settings, **{name: value for name, value in given.items() if value is not None})
    engine_settings, _ = loaded.build("engine", EngineSettings)
    engine = connect(engine_settings)
    try:
        return await ask(engine, args.question, snapshot, settings, ClosestSentences())
    finally:
        await engine.close()
