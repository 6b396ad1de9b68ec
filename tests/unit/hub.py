"""A hub on loopback: the part of the hub's file protocol that a download needs, with faults on demand."""

from __future__ import annotations

import hashlib
import json
import struct
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import urlsplit

COMMIT = "0123456789abcdef0123456789abcdef01234567"


def classifier(size: int) -> dict[str, bytes]:
    """The files of a model whose weights have `size` bytes. The hub's library writes 10 MB at a time."""
    header = json.dumps({"w": {"dtype": "F32", "shape": [size // 4], "data_offsets": [0, size]}}).encode()
    return {
        "config.json": b'{"model_type": "bert", "architectures": ["BertForSequenceClassification"]}',
        "tokenizer.json": b"{}",
        "tokenizer_config.json": b"{}",
        "model.safetensors": struct.pack("<Q", len(header)) + header + bytes(size),
        "README.md": b"---\nlicense: apache-2.0\n---\n",
    }


@dataclass
class Hub:
    """Repositories by id, each file name → content. `requests` are the paths asked for, `tokens` what came as proof.

    `gated` ids answer 403; a name in `cut` breaks off after half its bytes, once; one in `damaged` comes with other
    bytes than were published; one in `slow` comes in ten parts, `pause_s` between them.
    `commit` is what the branch `main` is at.
    """

    repositories: dict[str, dict[str, bytes]]
    gated: set[str] = field(default_factory=set)
    cut: set[str] = field(default_factory=set)
    damaged: set[str] = field(default_factory=set)
    slow: set[str] = field(default_factory=set)
    pause_s: float = 0.15
    commit: str = COMMIT
    requests: list[str] = field(default_factory=list)
    tokens: set[str] = field(default_factory=set)
    url: str = ""

    def fetched(self, name: str) -> int:
        """How often a file's content was asked for."""
        return sum(request.startswith("GET ") and request.endswith(f"/{name}") for request in self.requests)


def etag(name: str, content: bytes) -> str:
    """As the hub has it: sha256 for large files, git's sha1 for the others."""
    if name.endswith(".safetensors"):
        return hashlib.sha256(content).hexdigest()
    return hashlib.sha1(b"blob %d\0" % len(content) + content).hexdigest()


@contextmanager
def serve(hub: Hub) -> Iterator[Hub]:
    """Run the hub until the block is left."""

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def log_message(self, *_: object) -> None:
            pass

        def do_HEAD(self) -> None:
            self.answer(body=False)

        def do_GET(self) -> None:
            self.answer(body=True)

        def answer(self, *, body: bool) -> None:
            path = urlsplit(self.path).path
            hub.requests.append(f"{self.command} {path}")
            hub.tokens.add(self.headers.get("Authorization", ""))
            parts = path.strip("/").split("/")
            if parts[:2] == ["api", "models"] and parts[4:5] == ["tree"]:
                files = hub.repositories["/".join(parts[2:4])]
                self.send_json([self.leaf(name, content) for name, content in files.items()])
            elif parts[:2] == ["api", "models"]:
                self.describe("/".join(parts[2:4]), parts[5] if len(parts) > 5 else "main")
            elif len(parts) >= 5 and parts[2] == "resolve":
                self.file("/".join(parts[:2]), parts[3], "/".join(parts[4:]), body)
            else:
                self.fail(404, "EntryNotFound")

        def describe(self, repo: str, revision: str) -> None:
            if repo in hub.gated:
                self.fail(403, "GatedRepo")
            elif repo not in hub.repositories:
                self.fail(401, "RepoNotFound")
            elif revision not in ("main", COMMIT, hub.commit):
                self.fail(404, "RevisionNotFound")
            else:
                files = [self.entry(name, content) for name, content in hub.repositories[repo].items()]
                card = {"license": "apache-2.0"}
                self.send_json(
                    {
                        "id": repo,
                        "sha": hub.commit if revision == "main" else revision,
                        "siblings": files,
                        "cardData": card,
                        "tags": [],
                    }
                )

        @staticmethod
        def entry(name: str, content: bytes) -> dict[str, object]:
            found: dict[str, object] = {"rfilename": name, "size": len(content), "blobId": etag(name, content)}
            if name.endswith(".safetensors"):
                found["lfs"] = {"sha256": etag(name, content), "size": len(content), "pointerSize": 130}
            return found

        @staticmethod
        def leaf(name: str, content: bytes) -> dict[str, object]:
            found: dict[str, object] = {"type": "file", "path": name, "size": len(content), "oid": etag(name, content)}
            if name.endswith(".safetensors"):
                found["lfs"] = {"oid": etag(name, content), "size": len(content), "pointerSize": 130}
            return found

        def file(self, repo: str, revision: str, name: str, body: bool) -> None:
            content = hub.repositories.get(repo, {}).get(name)
            if content is None:
                self.fail(404, "EntryNotFound")
                return
            start = 0
            if (wanted := self.headers.get("Range")) and body:
                start = int(wanted.removeprefix("bytes=").split("-")[0])
            self.send_response(206 if start else 200)
            self.send_header("X-Repo-Commit", hub.commit if revision == "main" else revision)
            self.send_header("ETag", f'"{etag(name, content)}"')
            self.send_header("Accept-Ranges", "bytes")
            self.send_header("Content-Length", str(len(content) - start))
            if start:
                self.send_header("Content-Range", f"bytes {start}-{len(content) - 1}/{len(content)}")
            self.end_headers()
            if not body:
                return
            if name in hub.damaged:
                content = bytes(byte ^ 1 if place == len(content) - 1 else byte for place, byte in enumerate(content))
            if name in hub.cut:
                hub.cut.discard(name)
                self.wfile.write(content[start : (start + len(content)) // 2])
                self.close_connection = True
                return
            if name in hub.slow:
                part = len(content) // 10 + 1
                for at in range(start, len(content), part):
                    self.wfile.write(content[at : at + part])
                    time.sleep(hub.pause_s)
                return
            self.wfile.write(content[start:])

        def send_json(self, value: object) -> None:
            data = json.dumps(value).encode()
            self.send_response(200)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(data)))
            self.end_headers()
            self.wfile.write(data)

        def fail(self, status: int, code: str) -> None:
            self.send_response(status)
            self.send_header("X-Error-Code", code)
            self.send_header("Content-Length", "0")
            self.end_headers()

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    hub.url = f"http://127.0.0.1:{server.server_address[1]}"
    try:
        yield hub
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
