"""`inkling tour [FILE]`: a real LSP session in the terminal, as an editor would have it, with the times.

Starts `inkling lsp` as a subprocess over stdio, opens the sample files (or the user's), and shows the hover, the
squiggles under their text, a code action's diff, and ghost text as it streams in.
"""

from __future__ import annotations

import argparse
import asyncio
import difflib
import os
import shutil
import sys
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.live import Live
from rich.panel import Panel
from rich.rule import Rule
from rich.syntax import Syntax
from rich.text import Text

from inkling.cli.render import apply_edits, code_view, edits_for, ghost_text, progress_words, reason_words, squiggled
from inkling.cli.session import ServerError, Session
from inkling.errors import InklingError

LANGUAGES = {
    ".py": "python", ".md": "markdown", ".txt": "plaintext", ".js": "javascript", ".ts": "typescript", ".rs": "rust",
    ".go": "go", ".java": "java", ".c": "c", ".h": "c", ".cpp": "cpp", ".rb": "ruby", ".sh": "shellscript",
}  # fmt: skip
SEVERITIES = {1: ("error", "red"), 2: ("warning", "yellow"), 3: ("information", "cyan"), 4: ("hint", "bright_black")}
STARTED_WITHIN_S = 180


def add_parser(subparsers: Any) -> None:
    """Describe the arguments."""
    parser: argparse.ArgumentParser = subparsers.add_parser("tour", help="watch a real session in the terminal")
    parser.add_argument("file", nargs="?", type=Path, help="your own file instead of the samples")
    parser.add_argument("--record", type=Path, metavar="SVG", help="also save what was shown as a picture")


def run(args: argparse.Namespace) -> int:
    """Give the tour; 0 when every stop answered."""
    if args.record is not None and not args.record.absolute().parent.is_dir():
        raise InklingError("no-folder", f"There is no folder {args.record.parent}.", "Make it, or record elsewhere.")
    console = Console(highlight=False, record=args.record is not None)
    if args.file is not None and not args.file.is_file():
        raise InklingError(
            "file-not-found", f"{args.file} is not a file.", "Name a text file, or none for the samples."
        )
    folder = args.file.resolve().parent if args.file else samples()
    status = asyncio.run(_tour(console, folder, args.file))
    if args.record is not None:
        console.save_svg(str(args.record), title="inkling tour")
    return status


@dataclass
class Sample:
    """An open document, as the tour needs it."""

    uri: str
    name: str
    language: str
    text: str

    @property
    def lines(self) -> list[str]:
        """Lines without their endings."""
        return self.text.splitlines()

    def at(self, needle: str) -> dict[str, int]:
        """The position where `needle` begins."""
        before = self.text[: self.text.index(needle)]
        return {"line": before.count("\n"), "character": len(before) - before.rfind("\n") - 1}


def read(path: Path) -> Sample:
    """Read a file to open; raises `InklingError` when it is not text."""
    try:
        text = path.read_text(encoding="utf-8")
    except UnicodeDecodeError as error:
        raise InklingError("not-text", f"{path} is not UTF-8 text.", "Name a text file.") from error
    return Sample(path.resolve().as_uri(), path.name, LANGUAGES.get(path.suffix, "plaintext"), text)


async def _tour(console: Console, folder: Path, file: Path | None) -> int:
    began = time.perf_counter()
    async with Session.open(folder) as session:
        _say(console, "A language server, started as an editor would start it")
        info = session.server_info["serverInfo"]
        version = info.get("version", "")
        console.print(f"  {info['name']} {version} answered initialize in {_since(began)}.", markup=False)
        guide = Guide(console, session)
        if file:
            sample = read(file)
            await guide.show_all(sample)
        else:
            await guide.hover(code := guide.open(folder / "inventory.py"), code.at("reserve(self"))
            await guide.wait_for_engine()
            await guide.diagnostics(guide.open(folder / "review.md"))
            await guide.diagnostics(code)
            incident = guide.open(folder / "incident.md")
            await guide.code_action(incident, 2, len(incident.lines) - 1)
            await guide.complete(code, "        with open(self.")
            await guide.complete(code, "        for other, until in list(")
        await guide.farewell()
        return int(guide.failed)


def samples() -> Path:
    """The samples, in a clone or in the installed package."""
    clone = Path(__file__).parents[3] / "examples"
    return clone if clone.is_dir() else Path(__file__).with_name("samples")


class Guide:
    """Leads through the stops; each prints what the server said and how long it took."""

    def __init__(self, console: Console, session: Session) -> None:
        self.console = console
        self.session = session
        self.failed = False

    def open(self, path: Path) -> Sample:
        """Open a file in the session."""
        sample = read(path)
        self.session.open_document(sample.uri, sample.language, sample.text)
        return sample

    async def show_all(self, sample: Sample) -> None:
        """Every stop on the user's own file."""
        self.session.open_document(sample.uri, sample.language, sample.text)
        filled = [number for number, line in enumerate(sample.lines) if line.strip()]
        if not filled:
            raise InklingError("empty-file", f"{sample.name} is empty.", "Name a file with some text in it.")
        middle = filled[len(filled) // 2]
        await self.hover(sample, {"line": middle, "character": len(sample.lines[middle]) // 2})
        await self.wait_for_engine()
        await self.diagnostics(sample)
        await self.code_action(sample, filled[0], filled[min(len(filled) - 1, 40)])
        longest = max(filled[len(filled) // 2 :], key=lambda number: min(len(sample.lines[number].strip()), 40))
        line = sample.lines[longest]
        keep = len(line) - len(line.lstrip()) + max(4, len(line.strip()) // 2)
        await self._complete(sample, longest, line[:keep])

    async def wait_for_engine(self) -> None:
        """Show the engine starting and its models loading, until it is ready."""
        _say(self.console, "The engine starts beside it, once for all windows")
        began = time.perf_counter()
        with self.console.status("  starting …") as status:
            self.session.progress = lambda token, value: status.update(Text(f"  {progress_words(value)}"))
            while True:
                engine = (await self.session.request("inkling/status", {})).get("engine") or {}
                if engine.get("state") == "ready":
                    break
                if engine.get("state") == "failed" or time.perf_counter() - began > STARTED_WITHIN_S:
                    raise InklingError("engine-down", f"The engine did not start: {engine.get('error', 'no answer')}.")
                await asyncio.sleep(0.1)
        self.session.progress = lambda token, value: None
        self.console.print(f"  Ready {_since(began)} later.")

    async def hover(self, sample: Sample, position: dict[str, int]) -> None:
        """Token counts under the cursor."""
        _say(self.console, f"Hover: exact token counts · {sample.name}:{position['line'] + 1}")
        began = time.perf_counter()
        params = {"textDocument": {"uri": sample.uri}, "position": position}
        result = await self.session.request("textDocument/hover", params)
        took = _since(began)
        self.console.print(code_view(sample.lines, position["line"], cursor=position["character"]))
        if not result:
            self._missing("no hover", took)
            return
        from rich.markdown import Markdown

        self.console.print(Panel(Markdown(result["contents"]["value"]), title=f"hover · {took}", border_style="blue"))

    async def diagnostics(self, sample: Sample) -> None:
        """Squiggles under their text."""
        _say(self.console, f"Diagnostics: what a classifier thinks of the prose · {sample.name}")
        cold = not _loaded(await self.session.request("inkling/status", {}))
        words = "loading PyTorch and the model, once" if cold else "reading"
        began = time.perf_counter()
        with self.console.status(f"  {words} …"):
            result = await self.session.request("textDocument/diagnostic", {"textDocument": {"uri": sample.uri}})
        took = _since(began)
        items = (result or {}).get("items", [])
        for item in items:
            name, color = SEVERITIES[item.get("severity", 3)]
            start, end = item["range"]["start"], item["range"]["end"]
            line = sample.lines[start["line"]]
            stop = end["character"] if end["line"] == start["line"] else len(line)
            first, number, width = start["character"], start["line"] + 1, self.console.width
            for row in squiggled(line, first, stop, number=number, width=width, style=color):
                self.console.print(row)
            self.console.print(Text(f"       │ {name}: {item['message']}  [{item.get('source', '')}]", style=color))
        why = ", in which PyTorch and the model were loaded, once" if cold else ""
        self.console.print(f"  {len(items)} found in {took}{why}.")

    async def code_action(self, sample: Sample, first: int, last: int) -> None:
        """A summary, as the diff that the action would make."""
        _say(self.console, f"Code action: summarize lines {first + 1} to {last + 1} · {sample.name}")
        span = {
            "start": {"line": first, "character": 0},
            "end": {"line": last, "character": len(sample.lines[last])},
        }
        params = {"textDocument": {"uri": sample.uri}, "range": span, "context": {"diagnostics": []}}
        actions = await self.session.request("textDocument/codeAction", params) or []
        for action in actions:
            self.console.print(f"  • {action['title']}", markup=False)
        action = next((action for action in actions if action["title"].startswith("Insert summary")), None)
        if action is None:
            self.console.print("  None of them inserts a summary here: there is too little text.")
            return
        began = time.perf_counter()
        with self.console.status(Text(f"  {action['title']} …")):
            try:
                resolved = await self.session.request("codeAction/resolve", action)
            except ServerError as error:
                self._missing(str(error), _since(began))
                return
        after = apply_edits(sample.text, edits_for(resolved["edit"], sample.uri))
        diff = difflib.unified_diff(sample.lines, after.splitlines(), "before", "after", lineterm="", n=1)
        shown = Syntax("\n".join(diff), "diff", word_wrap=True, background_color="default")
        self.console.print(Panel(shown, title=Text(f"{action['title']} · {_since(began)}"), border_style="blue"))

    async def complete(self, sample: Sample, typed: str) -> None:
        """Complete as if the user had just typed the line that begins with `typed` up to its end."""
        position = sample.at(typed)
        await self._complete(sample, position["line"], typed)

    async def _complete(self, sample: Sample, line: int, typed: str) -> None:
        _say(self.console, f"Ghost text: a language model completes as you type · {sample.name}:{line + 1}")
        full = sample.lines[line]
        rest = {"start": {"line": line, "character": len(typed)}, "end": {"line": line, "character": len(full)}}
        self.session.change_document(sample.uri, [{"range": rest, "text": ""}])
        began = time.perf_counter()
        first = ""
        steps = 0
        with Live(console=self.console, refresh_per_second=30) as live:

            def grow(value: Any) -> None:
                nonlocal first, steps
                first, steps = first or _since(began), steps + 1
                live.update(code_view(sample.lines, line, ghost=ghost_text(value), typed=typed))

            live.update(code_view(sample.lines, line, typed=typed))
            params = {
                "textDocument": {"uri": sample.uri},
                "position": {"line": line, "character": len(typed)},
                "context": {"triggerKind": 1},
            }
            try:
                result = await self.session.request("textDocument/inlineCompletion", params, on_partial=grow)
            except ServerError as error:
                self._missing(str(error), _since(began))
                return
            if result and ghost_text(result):
                live.update(code_view(sample.lines, line, ghost=ghost_text(result), typed=typed))
                first = first or _since(began)
        if not self.console.is_terminal:
            self.console.print()  # Live leaves its last line open there
        if first:
            self.console.print(f"  First text after {first}, all of it after {_since(began)}, in {steps or 1} steps.")
            self.console.print(Text(f"  The file has: {full.strip()}", style="bright_black"))
        else:
            why = (await self.session.request("inkling/status", {})).get("reasons") or []
            words = f"  Nothing shown after {_since(began)}. {reason_words(why, sample.uri)}"
            self.console.print(words.rstrip(), markup=False)
        undo = {"start": rest["start"], "end": rest["start"]}
        self.session.change_document(sample.uri, [{"range": undo, "text": full[len(typed) :]}])

    async def farewell(self) -> None:
        """Where text went, and what next."""
        status = await self.session.request("inkling/status", {})
        engine, loaded = status.get("engine") or {}, _loaded(status)
        where = f", on {engine['device']}" if loaded and engine.get("device", "auto") != "auto" else ""
        _say(self.console, "That was all on this machine")
        for message in dict.fromkeys(self.session.messages):
            self.console.print(Text(f"  The server says: {message}", style="yellow"))
        words = f"  Models in the engine: {', '.join(loaded) or 'none'}{where}. Nothing was sent anywhere."
        self.console.print(words, markup=False)
        next_one = (f"{_command()} tour YOUR_FILE", "bold")
        self.console.print(Text.assemble("  Next: ", next_one, ", or set up your editor as README.md says."))

    def _missing(self, what: str, took: str) -> None:
        self.failed = True
        self.console.print(Text.assemble("  ", (what, "red"), f" {took}"))


def _say(console: Console, title: str) -> None:
    console.print()
    console.print(Rule(Text(title), align="left", style="blue"))


def _loaded(status: Mapping[str, Any]) -> list[str]:
    """The models that the engine has in memory, by `inkling/status`."""
    return [model["id"] for model in (status.get("engine") or {}).get("models", []) if model["state"] == "ready"]


def _command() -> str:
    """How the reader calls this command from here: by its name, once its environment is active."""
    beside = Path(sys.executable).parent
    found = shutil.which("inkling")
    if found and Path(found).parent == beside:
        return "inkling"
    if not (beside / "activate").is_file() or not (beside / "inkling").is_file():
        return f"{sys.executable} -m inkling"
    return f". {os.path.relpath(beside / 'activate')} && inkling"


def _since(began: float) -> str:
    seconds = time.perf_counter() - began
    return f"{seconds * 1000:.0f} ms" if seconds < 1 else f"{seconds:.1f} s"
