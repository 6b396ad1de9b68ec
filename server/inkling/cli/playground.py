"""`inkling playground`: every surface in a browser, without installing an editor."""

from __future__ import annotations

import argparse
import secrets
import socket
import tempfile
from pathlib import Path
from typing import Any

from inkling.errors import InklingError

_SAMPLES = (("inventory.py", "python"), ("review.md", "markdown"), ("incident.md", "markdown"))


def add_parser(subparsers: Any) -> None:
    """Describe the arguments."""
    parser: argparse.ArgumentParser = subparsers.add_parser(
        "playground", help="try it in the browser: a page of this machine alone"
    )
    parser.add_argument("--port", type=int, default=0, metavar="PORT", help="where to listen (default: a free one)")
    parser.add_argument("--open", action="store_true", help="open the page in the default browser")


def run(args: argparse.Namespace) -> int:
    """Serve until Ctrl-C."""
    import uvicorn

    from inkling.playground.app import create_app

    token = secrets.token_urlsafe(24)
    with socket.socket() as listener, tempfile.TemporaryDirectory(prefix="inkling-playground-") as folder:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            listener.bind(("127.0.0.1", args.port))
        except OSError as error:
            raise InklingError(
                "address-unusable", f"Cannot listen on 127.0.0.1:{args.port}: {error.strerror}.", "Choose another port."
            ) from error
        listener.listen()
        port = listener.getsockname()[1]
        app = create_app(_samples(), token=token, port=port, folder=Path(folder))
        url = f"http://127.0.0.1:{port}/#{token}"
        print(f"Open {url}\nThe address holds a token: it is for you alone. Ctrl-C ends it.", flush=True)
        if args.open:
            import webbrowser

            webbrowser.open(url)
        config = uvicorn.Config(
            app, log_level="warning", access_log=False, ws="websockets-sansio", timeout_graceful_shutdown=2
        )
        uvicorn.Server(config).run(sockets=[listener])
    return 0


def _samples() -> list[dict[str, str]]:
    from inkling.cli.tour import samples

    folder = samples()
    return [
        {"name": name, "language": language, "text": (folder / name).read_text("utf-8")} for name, language in _SAMPLES
    ]
