"""What the commands for pipes share: text from a file or standard input, and an engine for as long as it takes."""

from __future__ import annotations

import argparse
import contextlib
import sys
from collections.abc import AsyncGenerator
from pathlib import Path
from typing import TYPE_CHECKING

from inkling.errors import InklingError

if TYPE_CHECKING:
    from inkling.engine.protocol import EngineConnection


def add_file(parser: argparse.ArgumentParser) -> None:
    """The argument that `read` reads."""
    parser.add_argument("file", nargs="?", default="-", metavar="FILE", help="a text file (default: standard input)")


def read(name: str) -> str:
    """The text of a file or, named `-`, of standard input. Raises InklingError."""
    try:
        data = sys.stdin.buffer.read() if name == "-" else Path(name).read_bytes()
        return data.decode("utf-8-sig")
    except UnicodeDecodeError:
        raise InklingError("not-utf-8", f"{name} is not UTF-8 text.", "Convert it first.") from None
    except OSError as error:
        raise InklingError("unreadable", f"{name}: {error.strerror}.") from None


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
