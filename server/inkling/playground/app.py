"""The playground's app: static files for anyone on this machine, the WebSocket for who has the token.

Any page that the user's browser has open may connect to a port of this machine, so the WebSocket wants the token that
only the printed address holds, a `Host` that is ours, and the `Origin` of our own page.
"""

from __future__ import annotations

import hmac
from pathlib import Path
from typing import Any

from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import FileResponse, JSONResponse, Response
from starlette.routing import Route, WebSocketRoute
from starlette.websockets import WebSocket

from inkling.errors import InklingError
from inkling.playground.bridge import bridge

PAGE = Path(__file__).parent / "page"

_POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self' 'unsafe-inline'; img-src 'self' data:; "
    "connect-src 'self' ws://{host}; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
)
_KINDS = {".html": "text/html", ".js": "text/javascript", ".css": "text/css"}


def create_app(samples: list[dict[str, str]], *, token: str, port: int, folder: Path) -> Starlette:
    """The app on `port`; raises `InklingError("playground-not-built")` when the page is not in the package."""
    if not (PAGE / "main.js").is_file():
        raise InklingError(
            "playground-not-built", "The playground's page is not in this installation.", "Run `make playground`."
        )
    hosts = frozenset({f"127.0.0.1:{port}", f"localhost:{port}"})

    async def page(request: Request) -> Response:
        name = request.path_params.get("name") or "index.html"
        if request.headers.get("host") not in hosts:
            return Response("This server is not known under this name.", 403)
        if name == "samples":
            return JSONResponse(samples)
        path = PAGE / name
        if "/" in name or path.suffix not in _KINDS or not path.is_file():
            return Response("There is no such file.", 404)
        headers = {
            "content-security-policy": _POLICY.format(host=request.headers["host"]),
            "x-content-type-options": "nosniff",
            "referrer-policy": "no-referrer",
            "cache-control": "no-store",
        }
        return FileResponse(path, media_type=_KINDS[path.suffix], headers=headers)

    async def lsp(socket: WebSocket) -> None:
        host = socket.headers.get("host", "")
        given = socket.query_params.get("token", "")
        ours = host in hosts and socket.headers.get("origin") == f"http://{host}"
        if not (ours and hmac.compare_digest(given.encode(), token.encode())):
            await socket.close(1008)
            return
        await socket.accept()
        await bridge(socket, folder)

    routes: list[Any] = [WebSocketRoute("/lsp", lsp), Route("/{name:path}", page)]
    return Starlette(routes=routes)
