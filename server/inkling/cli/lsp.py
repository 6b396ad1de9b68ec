"""`inkling lsp`: the language server, on stdio for one editor, or on TCP with a session for each client.

Who can talk to it can have it write files, so TCP is for this machine alone unless the user insists; and since any web
page can send a POST to a port of this machine, a connection that begins with anything but a message is closed.
"""

from __future__ import annotations

import argparse
import asyncio
import ipaddress
import os
import sys
import threading
from pathlib import Path
from typing import Any

from inkling.errors import InklingError

CLOSE_S = 1.0
"""How long the closing of a connection that is no client's may take."""

LINGER_S = 3.0
"""How long a plugin's thread may keep the process from ending."""


def add_parser(subparsers: Any) -> None:
    """Describe the arguments."""
    parser: argparse.ArgumentParser = subparsers.add_parser("lsp", help="run the language server")
    place = parser.add_mutually_exclusive_group()
    place.add_argument("--stdio", action="store_true", help="talk over stdin and stdout (the default)")
    place.add_argument("--tcp", metavar="HOST:PORT", help="listen on TCP; each client gets a session of its own")
    parser.add_argument(
        "--insecure-host", action="store_true", help="let --tcp listen where other machines can reach and command it"
    )
    parser.add_argument(
        "--clientProcessId", type=int, metavar="PID", dest="client_process", help="with --tcp: end when this one ends"
    )
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
        host, port = _address(args.tcp, anywhere=args.insecure_host)
        status = asyncio.run(_serve_tcp(host, port, args.client_process))
        _leave_for_sure(status)
        return status
    status = asyncio.run(_serve_stdio())
    _leave_for_sure(status)
    return status


async def _serve_stdio() -> int:
    from inkling.lsp.greeting import answer_first
    from inkling.lsp.pauses import shorten_pauses
    from inkling.lsp.stdio import claim_stdio
    from inkling.lsp.transport import StdioTransport
    from inkling.lsp.wire import Deframer

    transport, deframer = StdioTransport(*claim_stdio()), Deframer()
    greeting, first = await answer_first(transport, deframer)
    from inkling.lsp.session import Session  # by far the longest import: the client has its first answer by now

    session = Session(transport, deframer=deframer)
    if greeting is not None:
        session.meet(greeting)
    shorten_pauses()
    return await session.run(first)


async def _serve_tcp(host: str, port: int, client_process: int | None) -> int:
    from inkling.lsp.greeting import answer_first
    from inkling.lsp.session import Session
    from inkling.lsp.transport import StreamTransport
    from inkling.lsp.watch import Watch, is_alive
    from inkling.lsp.wire import Deframer, Junk

    async def connected(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        transport, deframer = StreamTransport(reader, writer), Deframer()
        greeting, first = await answer_first(transport, deframer)
        if isinstance(first, Junk):  # a browser: what its page put into the body must not be read as messages
            await transport.close(CLOSE_S)
            return
        session = Session(transport, deframer=deframer)
        if greeting is not None:
            session.meet(greeting)
        await session.run(first)

    watch = Watch()
    if client_process is not None and not is_alive(client_process):
        raise InklingError("client-gone", f"There is no process {client_process}, so nobody would use this server.")
    watch.parent(client_process)
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
        await watch.wait()
    return 0


def _address(text: str, *, anywhere: bool) -> tuple[str, int]:
    host, _, port = text.rpartition(":")
    if not port.isdecimal() or int(port) > 65535:
        raise InklingError("bad-address", f'"{text}" is not HOST:PORT.', "Write, for example, 127.0.0.1:2087.")
    host = host.strip("[]") or "127.0.0.1"
    if not anywhere and not _is_loopback(host):
        raise InklingError(
            "address-reachable",
            f"Other machines may reach {host}, and whoever connects commands this server with your rights.",
            "Listen on 127.0.0.1, or say --insecure-host.",
        )
    return host, int(port)


def _is_loopback(host: str) -> bool:
    try:
        return host == "localhost" or ipaddress.ip_address(host).is_loopback
    except ValueError:  # some other name
        return False


def _leave_for_sure(status: int) -> None:
    """End the process even if a thread of a plugin does not end."""

    def leave() -> None:
        os._exit(status)

    timer = threading.Timer(LINGER_S, leave)
    timer.daemon = True
    timer.start()
