"""`inkling lsp`: the language server, on stdio for one editor, or on TCP with a session for each client."""

from __future__ import annotations

import argparse
import asyncio
import os
import sys
import threading
from pathlib import Path
from typing import Any

from inkling.errors import InklingError

LINGER_S = 3.0
"""How long a plugin's thread may keep the process from ending."""


def add_parser(subparsers: Any) -> None:
    """Describe the arguments."""
    parser: argparse.ArgumentParser = subparsers.add_parser("lsp", help="run the language server")
    place = parser.add_mutually_exclusive_group()
    place.add_argument("--stdio", action="store_true", help="talk over stdin and stdout (the default)")
    place.add_argument("--tcp", metavar="HOST:PORT", help="listen on TCP; each client gets a session of its own")
    parser.add_argument(
        "--log-level", choices=("error", "warning", "info", "debug"), help="instead of the setting server.log_level"
    )
    parser.add_argument("--log-file", type=Path, help="append the log here instead of writing it to stderr")


def run(args: argparse.Namespace) -> int:
    """Serve; the exit status is 0 after a proper shutdown."""
    from inkling.lsp.log import log, redact_libraries

    if args.log_level:
        log.pin(args.log_level)
    if args.log_file:
        try:
            log.open(args.log_file)
        except OSError as error:
            raise InklingError("log-unwritable", f"{args.log_file} could not be opened: {error.strerror}.") from error
    redact_libraries()
    if args.tcp:
        host, port = _address(args.tcp)
        return asyncio.run(_serve_tcp(host, port))
    status = asyncio.run(_serve_stdio())
    _leave_for_sure(status)
    return status


async def _serve_stdio() -> int:
    from inkling.lsp.greeting import answer_first
    from inkling.lsp.transport import StdioTransport, claim_stdio
    from inkling.lsp.wire import Deframer

    transport, deframer = StdioTransport(*claim_stdio()), Deframer()
    greeting, first = await answer_first(transport, deframer)
    from inkling.lsp.session import Session  # by far the longest import: the client has its first answer by now

    session = Session(transport, deframer=deframer)
    if greeting is not None:
        session.meet(greeting)
    return await session.run(first)


async def _serve_tcp(host: str, port: int) -> int:
    from inkling.lsp.session import Session
    from inkling.lsp.transport import StreamTransport

    async def connected(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await Session(StreamTransport(reader, writer)).run()

    try:
        server = await asyncio.start_server(connected, host, port)
    except OSError as error:
        raise InklingError(
            "address-unusable", f"Cannot listen on {host}:{port}: {error.strerror}.", "Choose another port."
        ) from error
    for socket in server.sockets:
        name = socket.getsockname()
        print(f"Listening on {name[0]}:{name[1]}", file=sys.stderr, flush=True)
    async with server:
        await server.serve_forever()
    return 0


def _address(text: str) -> tuple[str, int]:
    host, _, port = text.rpartition(":")
    if not port.isdecimal() or int(port) > 65535:
        raise InklingError("bad-address", f'"{text}" is not HOST:PORT.', "Write, for example, 127.0.0.1:2087.")
    return host.strip("[]") or "127.0.0.1", int(port)


def _leave_for_sure(status: int) -> None:
    """End the process even if a thread of a plugin does not end."""

    def leave() -> None:
        os._exit(status)

    timer = threading.Timer(LINGER_S, leave)
    timer.daemon = True
    timer.start()
