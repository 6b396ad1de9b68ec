"""A real cluster on this machine, on one node or two, each in a network of its own: for its tests and its figures.

Run inside `tests/cluster/alone.sh`: Ray listens on every interface, and what runs there is ended at the end. A second
node gets a network namespace of its own, joined to the first by a cable (a veth pair): killing it is losing a machine.
"""

from __future__ import annotations

import asyncio
import os
import secrets
import signal
import subprocess
import sys
import time
from collections.abc import AsyncGenerator, Mapping
from contextlib import asynccontextmanager, suppress
from operator import ge
from pathlib import Path
from typing import Any

import httpx2
import psutil
import tomlkit

from inkling.engine.cluster.options import ENVIRONMENT

HEAD, WORKER = "10.77.0.1", "10.77.0.2"
TOKEN = "a-token-for-tests-on-loopback"
PORT = 8123
_SMALL = ("--disable-usage-stats", "--object-store-memory=100000000")
_APPLICATIONS = """
import sys, ray
from ray import serve
ray.init(address=sys.argv[1], log_to_driver=False, logging_level="ERROR")
print("serves", *serve.status().applications)
"""
FAKE = "inkling.engine.fake_backend:create_backend"


def why_not() -> str:
    """Why no cluster can be started here; empty when it can."""
    try:
        import ray  # noqa: F401
    except ImportError:
        return "ray is not installed: `make cluster-test` installs it apart and runs these"
    if set(psutil.net_if_addrs()) - {"lo", "here"}:
        return "this process sees the network, and Ray would listen on it: `make cluster-test` runs these without one"
    if os.environ.get("INKLING_OUTSIDE", "") in ("", _namespace("self", "pid")):
        return "this process sees others, which must not be ended: `make cluster-test` runs these among themselves"
    return ""


class Pool:
    """A running cluster. `http` is a client of the gateway on the first node."""

    def __init__(self, folder: Path, table: Mapping[str, Any], environment: Mapping[str, str]) -> None:
        self.folder = folder
        self.file = folder / "cluster.toml"
        self.file.write_text(tomlkit.dumps(dict(table)))
        self.wanted = [max(1, model.get("min_replicas", 1)) for model in table["models"]]
        self.environment = {
            **os.environ,
            "INKLING_CLUSTER_TOKEN": TOKEN,
            "RAY_AUTH_MODE": "token",
            "RAY_AUTH_TOKEN": secrets.token_hex(32),
            **ENVIRONMENT,
            "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}",
            **environment,
        }
        self.cable: subprocess.Popen[bytes] | None = None
        self.up: subprocess.Popen[str] | None = None

    def client(self, host: str = "127.0.0.1", token: str = TOKEN) -> httpx2.AsyncClient:
        """A client without retries."""
        headers = {"authorization": f"Bearer {token}", "x-inkling-client": "bench"}
        limits = httpx2.Limits(max_connections=200)
        return httpx2.AsyncClient(base_url=f"http://{host}:{PORT}", headers=headers, timeout=60, limits=limits)

    # One node

    def start_here(self) -> None:
        """`inkling cluster up` on this node alone."""
        self.up = self._inkling("up")

    def _inkling(self, *arguments: str) -> subprocess.Popen[str]:
        command = [sys.executable, "-m", "inkling", "cluster", *arguments, "-f", str(self.file)]
        with (self.folder / "up.log").open("a") as log:
            return subprocess.Popen(command, env=self.environment, stdout=log, stderr=log, text=True)

    # Two nodes

    def start_two(self, cpus: int = 4) -> None:
        """A head and a worker, each in its own network, and the application on both."""
        self.cable = subprocess.Popen(["unshare", "--net", "sleep", "infinity"])
        there = ("nsenter", f"--net=/proc/{self.cable.pid}/ns/net")
        while _namespace(self.cable.pid, "net") == _namespace("self", "net"):
            time.sleep(0.01)
        for command in (
            f"ip link add here type veth peer name there netns {self.cable.pid}",
            f"ip addr add {HEAD}/24 dev here",
            "ip link set here up",
            f"{' '.join(there)} ip addr add {WORKER}/24 dev there",
            f"{' '.join(there)} ip link set there up",
            f"{' '.join(there)} ip link set lo up",
        ):
            subprocess.run(command.split(), check=True)
        self.start_ray(HEAD, cpus)
        more = [f"--address={HEAD}:6379", f"--node-ip-address={WORKER}", f"--num-cpus={cpus}", *_SMALL]
        self._run(*there, "ray", "start", *more)
        if self._inkling("up", "--address", f"{HEAD}:6379", "--detach").wait():
            raise RuntimeError(self.log())

    def start_ray(self, address: str = "127.0.0.1", cpus: int = 4) -> None:
        """A Ray that serves nothing yet."""
        more = [f"--node-ip-address={address}", "--port=6379", "--include-dashboard=false", f"--num-cpus={cpus}"]
        self._run("ray", "start", "--head", *more, *_SMALL)

    def up_on(self, address: str = "127.0.0.1", *arguments: str) -> subprocess.Popen[str]:
        """`inkling cluster up` on a Ray that runs."""
        self.up = self._inkling("up", "--address", f"{address}:6379", *arguments)
        return self.up

    def applications(self, address: str = "127.0.0.1") -> list[str]:
        """What a Ray that runs serves."""
        command = [sys.executable, "-c", _APPLICATIONS, f"{address}:6379"]
        said = subprocess.run(command, env=self.environment, check=True, capture_output=True, text=True, timeout=120)
        return said.stdout.splitlines()[-1].split()[1:]

    def _run(self, *command: str) -> None:
        with (self.folder / "up.log").open("a") as log:
            subprocess.run(command, env=self.environment, check=True, stdout=log, stderr=log, timeout=120)

    def kill_worker(self) -> int:
        """Everything on the second node at once, as when its power fails; returns how many processes."""
        victims = self.on_worker()
        for victim in victims:
            with suppress(psutil.NoSuchProcess):
                victim.kill()
        return len(victims)

    def on_worker(self) -> list[psutil.Process]:
        """The second node's processes."""
        assert self.cable is not None
        network = _namespace(self.cable.pid, "net")
        found = []
        for pid in _others():
            with suppress(psutil.NoSuchProcess):
                found += [psutil.Process(pid)] if pid != self.cable.pid and _namespace(pid, "net") == network else []
        return found

    # Both

    async def until_ready(self, seconds: float = 300) -> float:
        """Seconds until the gateway answers and every deployment has the replicas it is to have.

        Ray gives a node 30 s to start; where a busy machine needs more, `up` is started again, as systemd would.
        """
        began = time.monotonic()
        async with self.client() as http:
            while time.monotonic() - began < seconds:
                if self.up is not None and self.up.poll() is not None:
                    if "Ray cannot be started" not in "".join(self.log().splitlines()[-1:]):
                        break
                    await asyncio.to_thread(self.stop)
                    self.start_here()
                with suppress(httpx2.TransportError):
                    reply = await http.get("/inkling/status")
                    there = reply.json()["extra"]["replicas"].values() if reply.status_code == 200 else ()
                    if there and all(map(ge, there, self.wanted)):
                        return time.monotonic() - began
                await asyncio.sleep(0.2)
        raise RuntimeError(f"no gateway: {self.log()}")

    def log(self) -> str:
        """What `up` said."""
        return (self.folder / "up.log").read_text()

    def processes(self, part: str) -> list[psutil.Process]:
        """This cluster's processes with `part` in their name or command line, on any node."""
        found = []
        for pid in _others():
            with suppress(psutil.Error):
                process = psutil.Process(pid)
                if part in " ".join(process.cmdline()):
                    found.append(process)
        return found

    def stop(self) -> None:
        """End all that was started: in this process namespace nothing else is."""
        keep = {process.pid for process in psutil.Process().parents()} | ({self.cable.pid} if self.cable else set())
        for _ in range(20):
            victims = [pid for pid in _others() if pid not in keep]
            for pid in victims:
                with suppress(ProcessLookupError):
                    os.kill(pid, signal.SIGKILL)
            if not victims:
                break
            time.sleep(0.1)
        if self.cable is not None:
            self.cable.kill()
            self.cable.wait()
            subprocess.run(["ip", "link", "del", "here"], check=False, capture_output=True)
        if self.up is not None:
            self.up.wait()


def _others() -> list[int]:
    """Every process of this process namespace that still lives, but this one."""
    return [pid for pid in psutil.pids() if pid != os.getpid() and _namespace(pid, "net")]


def _namespace(process: int | str, kind: str) -> str:
    """Which one a process is in; empty for one that has ended."""
    try:
        return str(Path(f"/proc/{process}/ns/{kind}").readlink())
    except OSError:
        return ""


@asynccontextmanager
async def running(
    folder: Path, table: Mapping[str, Any], *, nodes: int = 1, environment: Mapping[str, str] | None = None
) -> AsyncGenerator[Pool, None]:
    """A cluster that answers, with a scripted model side unless `environment` says otherwise."""
    given = {"INKLING_ENGINE_BACKEND": FAKE} if environment is None else environment
    pool = Pool(folder, {"port": PORT, **table}, given)
    try:
        if nodes == 1:
            pool.start_here()
        else:
            await asyncio.to_thread(pool.start_two)
        await pool.until_ready()
        yield pool
    finally:
        await asyncio.to_thread(pool.stop)
