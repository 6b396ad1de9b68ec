"""`inkling cluster`: the same engine on a pool of machines, under Ray Serve."""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import sys
from pathlib import Path
from typing import Any

from inkling.engine.cluster import options
from inkling.engine.cluster.settings import ClusterSettings, read_settings
from inkling.engine.cluster.tokens import TOKEN_VARIABLE, read_tokens
from inkling.engine.wire import engine_status, error_from
from inkling.errors import InklingError

DEFAULT_FILE = Path("cluster.toml")


def add_parser(subparsers: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """`inkling cluster up | status | config`."""
    parser = subparsers.add_parser("cluster", help="the same engine on a pool of machines: up, status, config")
    actions = parser.add_subparsers(dest="action", metavar="ACTION", required=True)
    up = actions.add_parser("up", help="serve on this machine, or on a Ray cluster that runs")
    up.add_argument("--address", default="", help="a running Ray to join: auto, or HOST:PORT (default: start one here)")
    up.add_argument("--detach", action="store_true", help="with --address: leave it serving and return")
    status = actions.add_parser("status", help="what is served, by how many replicas, how busy")
    status.add_argument("--url", default="", help="a gateway (default: host and port of the settings)")
    status.add_argument("--json", action="store_true", help="as one JSON object")
    config = actions.add_parser("config", help="print a Serve config, for `serve deploy` or KubeRay")
    for action in (up, status, config):
        action.add_argument("-f", "--file", type=Path, default=DEFAULT_FILE, help="the settings (default: %(default)s)")


def run(args: argparse.Namespace) -> int:
    """0 when it did what was asked; `status` gives 3 when no gateway answers."""
    if args.action == "status":
        return _status(args)
    settings = read_settings(args.file)
    if args.action == "config":
        print(render(settings), end="")
        return 0
    from inkling.engine.cluster.up import up

    up(settings, address=args.address, detach=args.detach, say=lambda text: print(text, flush=True))
    return 0


def render(settings: ClusterSettings) -> str:
    """The Serve config. JSON is YAML too; with PyYAML at hand, which Ray brings, it is the usual kind."""
    config = options.serve_config(settings)
    try:
        import yaml
    except ImportError:
        return json.dumps(config, indent=2) + "\n"
    return str(yaml.safe_dump(config, sort_keys=False, width=100))


def _status(args: argparse.Namespace) -> int:
    if args.url:
        url, tokens = args.url.rstrip("/"), tuple(filter(None, [os.environ.get(TOKEN_VARIABLE, "").strip()]))
    else:
        settings = read_settings(args.file)
        host = "127.0.0.1" if settings.host in ("0.0.0.0", "::") else settings.host  # noqa: S104
        url, tokens = f"http://{host}:{settings.port}", read_tokens(settings)
    answer = asyncio.run(_ask(url, tokens[0] if tokens else ""))
    if answer is None:
        print(f"No gateway answers at {url}.", file=sys.stderr)
        return 3
    if args.json:
        print(json.dumps(answer, indent=2))
        return 0
    status = engine_status(answer)
    print(f"{url} · {status.extra.get('gateways', 0)} gateways · {status.active_requests} requests in progress")
    for model in status.models:
        memory = f"{model.bytes / 2**20:,.0f} MiB" if model.bytes else ""
        print(f"  {model.id}  {model.task}  {model.state}  {model.quantization}  {memory}".rstrip())
    replicas = ", ".join(f"{name} {count}" for name, count in dict(status.extra.get("replicas", {})).items())
    print(f"  replicas: {replicas}")
    return 0


async def _ask(url: str, token: str) -> dict[str, Any] | None:
    import httpx2

    headers = {"authorization": f"Bearer {token}"} if token else {}
    async with httpx2.AsyncClient(base_url=url, headers=headers, timeout=10.0) as http:
        try:
            response = await http.get("/inkling/status")
        except (httpx2.TransportError, OSError):
            return None
    try:
        data = response.json()
    except ValueError:
        data = None
    if response.status_code >= 400:
        raise error_from(data, response.status_code)
    if not isinstance(data, dict):
        raise InklingError("bad-output", f"What answers at {url} is no Inkling cluster.")
    return data
