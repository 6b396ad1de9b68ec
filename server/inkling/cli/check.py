"""`inkling check PATH…`: what the plugins would mark in an editor, for a terminal, a commit hook or a CI job.

Exit status: 0, nothing at or above `--fail-on`; 1, something; 2, it could not be checked (settings, a model, a file).
"""

from __future__ import annotations

import argparse
import asyncio
import sys
from collections.abc import AsyncGenerator, Callable, Iterator
from contextlib import aclosing, asynccontextmanager
from dataclasses import dataclass, replace
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Any

from inkling.errors import InklingError

if TYPE_CHECKING:
    from inkling.api import Nothing, Snapshot
    from inkling.check.finding import Finding
    from inkling.check.session import Checked, Session
    from inkling.engine.protocol import EngineConnection
    from inkling.engine.settings import EngineSettings
    from inkling.settings import Loaded
    from inkling.text.walk import Skipped

FORMATS = ("text", "json", "sarif", "github")
_SOON_S, _PATIENCE_S = 0.5, 2.0
"""How long a check says nothing, on a terminal and elsewhere, while its models load."""
_PROGRESS_S, _RARELY_S = 5.0, 60.0
"""When it first says how far it is, and how often it does at last: each wait is twice the one before it."""
FIXES = 5
"""Times that a file is read again after a fix, at most."""
LEVELS = ("error", "warning", "information", "hint", "never")


def add_parser(subparsers: Any) -> None:
    """Describe the arguments."""
    parser: argparse.ArgumentParser = subparsers.add_parser(
        "check",
        help="run rules on files",
        description="Exit status: 0 nothing found at or above --fail-on, 1 something found, 2 it could not be checked.",
    )
    parser.add_argument(
        "paths", nargs="*", default=["."], metavar="PATH", help="files and folders; - is standard input"
    )
    parser.add_argument(
        "--format", choices=FORMATS, default="text", help="how findings are written (default: %(default)s)"
    )
    parser.add_argument("--output", type=Path, metavar="FILE", help="write them there and not to standard output")
    parser.add_argument(
        "--fail-on", choices=LEVELS, default="warning", help="status 1 from here (default: %(default)s)"
    )
    parser.add_argument(
        "--fix", action="store_true", help="carry out preferred fixes, such as redactions, in the files"
    )
    parser.add_argument(
        "--baseline", type=Path, metavar="FILE", help="findings to leave out, in place of rules.baseline"
    )
    parser.add_argument(
        "--write-baseline",
        type=Path,
        nargs="?",
        const=Path("inkling-baseline.json"),
        metavar="FILE",
        help="write the findings as the baseline (default: %(const)s), and end with status 0",
    )
    parser.add_argument("--plugin", action="append", default=[], metavar="NAME", help="ask this plugin alone; repeat")
    parser.add_argument("--exclude", action="append", default=[], metavar="GLOB", help="leave out files; repeat")
    parser.add_argument("--stdin-filename", default="stdin.txt", metavar="NAME", help="what standard input is called")
    parser.add_argument("--trust", action="store_true", help="take this folder's settings as your own: any model, say")


def run(args: argparse.Namespace) -> int:
    """Check; raises no InklingError: those are status 2."""
    try:
        return asyncio.run(check(args))
    except InklingError as error:
        print(f"inkling check: {error}", file=sys.stderr)
        return 2


def settings_of(args: argparse.Namespace, root: Path) -> Loaded:
    """The user's and the folder's settings, and what the command itself sets."""
    from inkling.check.session import overrides
    from inkling.settings import Source, load, load_for

    rules: dict[str, Any] = {}
    if args.write_baseline is not None:
        rules["baseline"] = ""
    elif args.baseline is not None:
        if not args.baseline.is_file():
            raise InklingError("no-file", f"{args.baseline} is not there.", "Write one with --write-baseline.")
        rules["baseline"] = str(args.baseline.absolute())
    loaded = load_for(root, trusted=args.trust)
    given = {**overrides(rules), "server": {"exclude": list(args.exclude)}}
    return load([*loaded.sources, Source("client", given, "", trusted=True)], loaded.is_installed)


async def check(args: argparse.Namespace, engine: Callable[[EngineSettings], EngineConnection] | None = None) -> int:
    """The whole command. Raises InklingError when nothing can be checked."""
    from inkling.check.files import find_root, repository
    from inkling.check.finding import LEVELS as severities
    from inkling.check.formats import FORMATS as writers
    from inkling.check.formats import text, write_report
    from inkling.check.session import open_session
    from inkling.engine.client import connect

    root = find_root([Path(path) for path in args.paths if path != "-"])
    failures = 0
    async with open_session(root, settings_of(args, root), engine or connect) as session:
        session.choose(args.plugin)
        for words in [*map(str, session.problems), *(f"{name}: {why}" for name, why in session.broken)]:
            print(f"inkling check: {words}", file=sys.stderr)
            failures += 1
        if not session.plugins:
            raise InklingError(
                "nothing-to-do",
                f"No rule and no plugin is set up for {root}.",
                "Add a [[rule]] to its inkling.toml, or name a plugin: --plugin classify.",
            )
        findings: list[Finding] = []
        count = made = 0
        told: set[str] = set()
        checking = _checked(args, session, _inputs(args, session, root))
        async with _telling(session), aclosing(checking) as results:
            async for result in results:
                if isinstance(result, Unread):
                    failures += result.counts
                    print(f"inkling check: {result.path}: {result.detail}", file=sys.stderr)
                    continue
                checked, fixes = result
                findings += checked.findings
                count, made = count + 1, made + fixes
                for plugin, reason in checked.failures:
                    words = _said(plugin, reason)
                    words = f"{checked.path}: {words}" if reason.reason in ("too-large", "timed-out") else words
                    if words not in told:
                        told.add(words)
                        failures += 1
                        print(f"inkling check: {words}", file=sys.stderr)
    findings.sort(key=lambda finding: (finding.path, finding.place))
    if args.write_baseline is not None:
        return _write_baseline(args, root, findings, bool(failures))
    if args.format in ("github", "sarif"):  # whose readers look from the repository's top
        top = repository(Path.cwd())
        findings = [replace(finding, path=_seen_from(top, root / finding.path)) for finding in findings]
    report = text(findings, count, failures) if args.format == "text" else writers[args.format](findings, count)
    if args.output is not None:
        write_report(args.output, report)
    elif "-" in args.paths and args.fix:
        sys.stderr.write(report)  # standard output has the fixed text
    else:
        sys.stdout.write(report)
    if made:
        print(f"inkling check: {made:,} fixed.", file=sys.stderr)
    if failures:
        return 2
    worst = [finding for finding in findings if args.fail_on != "never"]
    return int(any(finding.diagnostic.severity <= severities[args.fail_on] for finding in worst))


def _seen_from(folder: Path, path: Path) -> str:
    return (path.relative_to(folder) if path.is_relative_to(folder) else path).as_posix()


@asynccontextmanager
async def _telling(session: Session) -> AsyncGenerator[None, None]:
    """While this is open, what takes long goes to standard error: each model that loads, and how far the check is."""
    telling = [asyncio.create_task(_tell_of_loads(session)), asyncio.create_task(_tell_of_progress(session))]
    try:
        yield
    finally:
        for task in telling:
            task.cancel()
        await asyncio.gather(*telling, return_exceptions=True)


async def _tell_of_loads(session: Session) -> None:
    """Once per model, and soon on a terminal."""
    await asyncio.sleep(_SOON_S if sys.stderr.isatty() else _PATIENCE_S)
    said: set[str] = set()
    while True:
        try:
            models = (await session.engine.status()).models
            words = [f"Loading {model.id} …" for model in models if model.state == "loading"]
        except InklingError:
            words = ["Starting the engine …"]
        for line in words:
            if line not in said:
                said.add(line)
                print(f"inkling check: {line}", file=sys.stderr, flush=True)
        await asyncio.sleep(_SOON_S)


async def _tell_of_progress(session: Session) -> None:
    wait = _PROGRESS_S
    while True:
        await asyncio.sleep(wait)
        print(f"inkling check: {session.progress()}", file=sys.stderr, flush=True)
        wait = min(2 * wait, _RARELY_S)


def _said(plugin: str, reason: Nothing) -> str:
    """Why a plugin could not look, by its name, which the table `[classify]` has too."""
    words = reason.detail or reason.reason
    return words if words.startswith(f"{plugin}: ") else f"{plugin}: {words}"


def _write_baseline(args: argparse.Namespace, root: Path, findings: list[Finding], failed: bool) -> int:
    from inkling.check.baseline import write

    path = args.write_baseline if args.write_baseline.is_absolute() else root / args.write_baseline
    if failed:
        raise InklingError("incomplete", f"{path} was not written, since not all could be checked.", "See above.")
    kept = write(path, findings)
    name = path.relative_to(root).as_posix() if path.is_relative_to(root) else str(path)
    print(f'{kept:,} findings in {path}. Editors honour it with [rules] baseline = "{name}".')
    return 0


@dataclass(frozen=True)
class Input:
    """One text to check: a file's, or (`standard`) what came on standard input."""

    item: Snapshot | Skipped
    standard: bool = False


@dataclass(frozen=True)
class Unread:
    """A file that could not be read, and whether that makes the check incomplete."""

    path: str
    detail: str
    counts: bool


def _inputs(args: argparse.Namespace, session: Session, root: Path) -> Iterator[Input]:
    from inkling.check.files import documents, from_text

    largest = session.server.max_document_size
    if "-" in args.paths:
        data = sys.stdin.buffer.read(4 * largest + 1)
        try:
            text = "" if len(data) > 4 * largest else data.decode("utf-8")
        except UnicodeDecodeError:
            raise InklingError("not-utf-8", "Standard input is not UTF-8 text.", "Convert it first.") from None
        if len(data) > 4 * largest or len(text) > largest:
            raise InklingError("too-large", f"Standard input has over {largest:,} characters.", "Check a part of it.")
        yield Input(from_text(text, args.stdin_filename, root), standard=True)
    files = [Path(path) for path in args.paths if path != "-"]
    yield from map(Input, documents(files, session.hidden, largest))


async def _checked(
    args: argparse.Namespace, session: Session, inputs: Iterator[Input]
) -> AsyncGenerator[tuple[Checked, int] | Unread, None]:
    """Every file's result and the number of fixes made, as they come; many at once, read on a thread.

    What was named and cannot be read makes the check incomplete; what a folder holds besides text does not.
    """
    from inkling.check.files import placed
    from inkling.check.session import AT_ONCE
    from inkling.text.uri import file_path
    from inkling.text.walk import Skipped

    waiting: set[asyncio.Task[tuple[Checked, int]]] = set()
    named = {placed(Path(path)) for path in args.paths}
    try:
        while batch := await asyncio.to_thread(lambda: list(islice(inputs, AT_ONCE))):
            for given in batch:
                if isinstance(item := given.item, Skipped):
                    was_named = file_path(item.uri) in named
                    if item.reason != "binary" or was_named:
                        counts = item.reason != "hidden" and (was_named or item.reason == "unreadable")
                        yield Unread(session.relative(item.uri), item.detail, counts)
                    continue
                waiting.add(asyncio.create_task(_one(args, session, item, given.standard)))
            while len(waiting) >= AT_ONCE:
                done, waiting = await asyncio.wait(waiting, return_when=asyncio.FIRST_COMPLETED)
                for task in done:
                    yield task.result()
        for result in asyncio.as_completed(waiting):
            yield await result
    finally:
        for task in waiting:
            task.cancel()


async def _one(args: argparse.Namespace, session: Session, snapshot: Snapshot, standard: bool) -> tuple[Checked, int]:
    from inkling.check.fix import fixed, replace_file
    from inkling.text.snapshot import Snapshot as Document
    from inkling.text.uri import file_path

    checked = await session.check(snapshot)
    if not args.fix:
        return checked, 0
    made, now = 0, snapshot
    for _ in range(FIXES):  # a model may see one thing only when another is gone
        text, some = fixed(now, checked.findings)
        if not some:
            break
        made += some
        now = Document.of(text, uri=snapshot.uri, language=snapshot.language)
        checked = await session.check(now)
    if standard:
        sys.stdout.write(now.text)
    elif made:
        await asyncio.to_thread(replace_file, file_path(snapshot.uri), snapshot, now.text)
    return checked, made
