"""The walls of server/ARCHITECTURE.md, read from the imports, and from what a starting server has in memory."""

from __future__ import annotations

import ast
import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
SERVER = ROOT / "server" / "inkling"
PLUGINS = ROOT / "plugins" / "inkling_plugins"

LSP = {"pygls", "lsprotocol"}
MODEL = {"torch", "transformers", "bitsandbytes", "safetensors"}
HTTP = {"httpx2", "httpcore2", "h11", "starlette", "uvicorn"}
HEAVY = {*MODEL, *HTTP, "tokenizers", "tree_sitter", "huggingface_hub", "numpy"}


def imports(path: Path) -> Iterator[tuple[str, int]]:
    """(imported module, line), absolute, wherever in the file; imports for type checkers alone do not count."""
    tree = ast.parse(path.read_text(encoding="utf-8"))
    skipped = {
        id(inner)
        for node in ast.walk(tree)
        if isinstance(node, ast.If) and "TYPE_CHECKING" in ast.unparse(node.test)
        for statement in node.body
        for inner in ast.walk(statement)
    }
    for node in ast.walk(tree):
        if id(node) in skipped:
            continue
        if isinstance(node, ast.Import):
            yield from ((alias.name, node.lineno) for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}:{node.lineno}: imports are absolute"
            yield from ((f"{node.module}.{alias.name}", node.lineno) for alias in node.names)


def modules(folder: Path) -> Iterator[tuple[str, Path]]:
    """(dotted name below the package, file)."""
    for path in sorted(folder.rglob("*.py")):
        yield ".".join(path.relative_to(folder).with_suffix("").parts).removesuffix(".__init__"), path


def crossings(folder: Path, forbidden: set[str], allowed_in: tuple[str, ...]) -> list[str]:
    """Imports of `forbidden` (packages or dotted prefixes) outside the rooms named."""
    return [
        f"{path.relative_to(ROOT)}:{line}: {imported}"
        for name, path in modules(folder)
        if not any(name == room or name.startswith(f"{room}.") for room in allowed_in)
        for imported, line in imports(path)
        if any(imported == word or imported.startswith(f"{word}.") for word in forbidden)
    ]


def test_lsp_types_stay_in_the_edge() -> None:
    assert crossings(SERVER, LSP, ("lsp", "cli")) == []
    assert crossings(PLUGINS, LSP, ()) == []


def test_model_libraries_stay_with_the_models() -> None:
    rooms = ("engine.models", "engine.tasks", "engine.generation", "training")
    assert crossings(SERVER, {"torch", "transformers", "bitsandbytes"}, rooms) == []
    assert crossings(PLUGINS, MODEL, ()) == []
    assert crossings(SERVER, {"ray"}, ("engine.cluster",)) == []
    assert crossings(SERVER, {"inkling.engine.cluster"}, ("engine.cluster", "cli.cluster", "cli.bench_capacity")) == []


def test_plugins_see_the_api_alone() -> None:
    found = [
        f"{path.relative_to(ROOT)}:{line}: {imported}"
        for _, path in modules(PLUGINS)
        for imported, line in imports(path)
        if imported.split(".")[0] == "inkling" and not imported.startswith("inkling.api.")
    ]
    assert found == []


@pytest.mark.parametrize(
    ("room", "never"),
    [
        ("text", {"inkling.lsp", "inkling.engine", "inkling.plugins", "inkling.cli"}),
        ("engine", {"inkling.lsp", "inkling.plugins", "inkling.cli", "inkling.api", "inkling.training"}),
        ("settings", {"inkling.lsp", "inkling.plugins", "inkling.cli", "inkling.api"}),
        ("lsp", {"inkling.cli", "inkling.training", "inkling.engine.app", "inkling.engine.scheduler"}),
        ("plugins", {"inkling.lsp", "inkling.cli", "inkling.engine", "inkling.training"}),
        ("api", {"inkling.lsp", "inkling.plugins", "inkling.cli", "inkling.training"}),
    ],
)
def test_rooms_look_downwards(room: str, never: set[str]) -> None:
    others = tuple({name.split(".")[0] for name, _ in modules(SERVER)} - {room})
    assert crossings(SERVER, never, others) == []


def loaded_after(message: dict[str, object]) -> set[str]:
    """The top-level packages in a server's memory once it has answered the first message."""
    body = json.dumps(message).encode()
    script = """
import sys, inkling.lsp.transport as transport
write = transport.StdioTransport.write
def report(self, data):
    write(self, data)
    print("LOADED", *sorted(sys.modules), file=sys.stderr, flush=True)
    transport.StdioTransport.write = write
transport.StdioTransport.write = report
from inkling.cli import main
sys.exit(main(["lsp"]))
"""
    done = subprocess.run(
        [sys.executable, "-c", script],
        input=b"Content-Length: %d\r\n\r\n%s" % (len(body), body),
        capture_output=True,
        timeout=60,
    )
    assert b'"capabilities"' in done.stdout, done.stderr
    line = next(line for line in done.stderr.decode().splitlines() if line.startswith("LOADED"))
    return {name.split(".")[0] for name in line.split()[1:]}


def test_a_starting_server_is_light() -> None:
    """Nothing heavy before the answer to `initialize`, with the bundled plugins imported; not even LSP's types."""
    params = {"processId": None, "capabilities": {}, "initializationOptions": {"server": {"start_engine": False}}}
    loaded = loaded_after({"jsonrpc": "2.0", "id": 1, "method": "initialize", "params": params})
    assert "inkling_plugins" in loaded
    assert loaded & (HEAVY | LSP) == set()
