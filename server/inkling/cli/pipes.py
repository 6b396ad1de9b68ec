"""What the commands for pipes share: text from a file or standard input, and an engine for as long as it takes."""

from __future__ import annotations

import argparse
import contextlib
import sys
from collections.abc import AsyncGenerator, Callable
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

from inkling.errors import InklingError

if TYPE_CHECKING:
    from inkling.engine.protocol import EngineConnection


Settings = TypeVar("Settings")


def settings(table: str, kind: type[Settings]) -> Settings:
    """A plugin's settings as an editor would have them in the working folder; what is wrong with them is told."""
    from inkling.settings import load_for

    found, problems = load_for(Path.cwd()).build(table, kind)
    for problem in problems:
        print(f"inkling: {problem}", file=sys.stderr)
    return found


def add_file(parser: argparse.ArgumentParser) -> None:
    """The arguments that `read` reads."""
    parser.add_argument("file", nargs="?", default="-", metavar="FILE", help="a text file (default: standard input)")
    add_secret_files(parser)


def add_secret_files(parser: argparse.ArgumentParser) -> None:
    """The argument by which a user insists."""
    parser.add_argument(
        "--secret-files", action="store_true", help="read the file though server.secret_files names it (.env, keys)"
    )


def secret_files() -> Callable[[Path], bool]:
    """Whether the user's setting `server.secret_files` names a file, itself or through a link."""
    from inkling.settings import ServerSettings, load_for
    from inkling.settings.exclusion import Exclusion

    secret = Exclusion(load_for(None).build("server", ServerSettings)[0].secret_files)
    return lambda path: secret(path.absolute().as_uri()) or secret(path.resolve().as_uri())


def _refuse_secrets(name: str) -> None:
    if secret_files()(Path(name)):
        message = f"{name} is one of the files that server.secret_files keeps from every model, so it was not read."
        raise InklingError("secret-file", message, "Give --secret-files to insist.")


def read(name: str, *, secrets: bool = False) -> str:
    """The text of a file or, named `-`, of standard input; a secret file's only with `secrets`.

    Raises InklingError for what cannot be read, is not UTF-8, or has zero bytes, as no text has.
    """
    if name != "-" and not secrets:
        _refuse_secrets(name)
    source = "Standard input" if name == "-" else name
    try:
        data = sys.stdin.buffer.read() if name == "-" else Path(name).read_bytes()
        text = data.decode("utf-8-sig")
    except UnicodeDecodeError:
        raise InklingError("not-utf-8", f"{source} is not UTF-8 text.", "Convert it first.") from None
    except OSError as error:
        raise InklingError("unreadable", f"{name}: {error.strerror}.") from None
    if "\0" in text:
        raise InklingError("binary", f"{source} is no text: it has zero bytes.")
    return text


def refuse_empty(text: str, to_do: str) -> None:
    """Raise InklingError where there is only white space to classify, to summarize, to complete."""
    if not text.strip():
        raise InklingError("no-text", f"There is nothing to {to_do}.", "Give text on standard input or name a file.")


@contextlib.asynccontextmanager
async def engine() -> AsyncGenerator[EngineConnection, None]:
    """The user's engine, as their own settings have it."""
    from inkling.engine.client import connect
    from inkling.engine.settings import EngineSettings
    from inkling.settings import load_for

    connection = connect(load_for(None).build("engine", EngineSettings)[0])
    try:
        yield connection
    finally:
        await connection.close()
