"""The engine as a process: races, crashes, leases, folders. Real processes with a scripted model side."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import socket
import stat
import subprocess
import sys
import threading
import time
from contextlib import aclosing, suppress
from dataclasses import replace
from pathlib import Path

import psutil
import pytest

from inkling.engine import daemon, runtime
from inkling.engine.client import EngineClient, EngineSettings
from inkling.engine.link import EngineLink
from inkling.engine.protocol import EngineEvent, GenerateRequest
from inkling.engine.runtime import Info, Place, is_running, place, private_folder, read_info
from inkling.errors import InklingError

from .serving import until

QUICK = EngineSettings(idle_seconds=0.5)


@pytest.fixture(autouse=True)
def home(tmp_path, monkeypatch):
    """Folders of the test's own; no engine may be left at its end."""
    folder = tmp_path / "run"
    folder.mkdir(mode=0o700)
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(folder))
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))
    monkeypatch.setenv("INKLING_ENGINE_BACKEND", "inkling.engine.fake_backend:create_backend")
    yield folder / "inkling"
    left = engines(folder / "inkling")
    for process in left:
        process.kill()
        process.wait(10)
    assert not left, "an engine outlived its test"


def engines(folder: Path) -> list[psutil.Process]:
    """Engine processes that live in this runtime folder."""
    found = []
    for process in psutil.process_iter(["cmdline"]):
        if "inkling.engine" in (process.info["cmdline"] or ()):
            with suppress(psutil.Error):
                if Path(process.cwd()) == folder and process.status() != psutil.STATUS_ZOMBIE:
                    found.append(process)
    return found


async def gone(folder: Path) -> None:
    await until(lambda: not engines(folder), 40)


async def classify(client: EngineClient, text: str = "bad", model: str = "fake") -> str:
    return (await client.classify([text], model=model))[0][0].label


async def pid_of(client: EngineClient) -> int:
    return (await client.status()).pid


class Events:
    """Collects a client's events."""

    def __init__(self, client: EngineClient) -> None:
        self.seen: list[EngineEvent] = []
        self._task = asyncio.create_task(self._collect(client))

    async def _collect(self, client: EngineClient) -> None:
        async with aclosing(client.events()) as events:
            async for event in events:
                self.seen.append(event)

    @property
    def kinds(self) -> list[str]:
        return [event.kind for event in self.seen if event.kind != "model"]

    async def wait_for(self, kind: str, times: int = 1) -> None:
        await until(lambda: self.kinds.count(kind) >= times, 20)


# Starting


async def test_nothing_is_started_before_it_is_needed(home: Path) -> None:
    client = EngineClient(QUICK)
    with pytest.raises(InklingError) as caught:
        await client.status()
    assert caught.value.reason == "engine-down"
    assert engines(home) == []
    await client.close()


async def test_forty_clients_at_once_get_one_engine(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    spawned = []

    def spawn(*arguments):
        spawned.append(arguments)
        return real_spawn(*arguments)

    real_spawn = daemon.spawn
    monkeypatch.setattr(daemon, "spawn", spawn)
    clients = [EngineClient(QUICK) for _ in range(40)]
    assert await asyncio.gather(*(classify(client) for client in clients)) == ["bad"] * 40
    assert len({await pid_of(client) for client in clients}) == 1
    assert len(engines(home)) == len(spawned) == 1  # nor was a process started in vain
    status = await clients[0].status()
    assert status.extra["leases"] == 40
    assert len(status.models) == 1
    await asyncio.gather(*(client.close() for client in clients))
    await gone(home)


WINDOW = """
import asyncio, sys
from inkling.engine.client import EngineClient, EngineSettings
async def main():
    client = EngineClient(EngineSettings(idle_seconds=0.5))
    print((await client.classify(["bad"], model="fake"))[0][0].label, (await client.status()).pid)
    sys.stdout.flush()
    await asyncio.to_thread(sys.stdin.read)
    await client.close()
asyncio.run(main())
"""


async def test_windows_that_open_together_share_one_engine(home: Path) -> None:
    command = [sys.executable, "-c", WINDOW]
    pipe = subprocess.PIPE
    windows = [subprocess.Popen(command, stdin=pipe, stdout=pipe, text=True) for _ in range(8)]
    lines = [await asyncio.to_thread(window.stdout.readline) for window in windows]
    assert len(set(lines)) == 1
    assert lines[0].startswith("bad ")
    assert len(engines(home)) == 1
    for window in windows:
        window.communicate()
    assert [window.returncode for window in windows] == [0] * 8
    await gone(home)


async def test_a_stale_socket_and_info_file_are_replaced(home: Path) -> None:
    where = place(QUICK)
    stale = socket.socket(socket.AF_UNIX)
    stale.bind(str(where.socket))
    stale.close()
    Info(where.name, pid=2**22 - 3, created=1.0, socket=str(where.socket)).write(where.info)
    client = EngineClient(QUICK)
    assert await classify(client) == "bad"
    info = read_info(where.info)
    assert info is not None
    assert info.pid == await pid_of(client)
    await client.close()
    await gone(home)


async def test_files_and_environment_are_private(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HF_TOKEN", "secret")
    client = EngineClient(QUICK)
    await client.start()
    where = place(QUICK)
    assert stat.S_IMODE(home.stat().st_mode) == 0o700
    for path in (where.socket, where.info, where.lock, where.start_lock, where.log):
        assert stat.S_IMODE(path.stat().st_mode) & 0o077 == 0, path
    process = psutil.Process(await pid_of(client))
    assert "secret" not in process.environ().values()
    assert process.environ()["HF_HUB_OFFLINE"] == "1"
    assert Path(f"/proc/{process.pid}/fd/0").readlink() == Path(os.devnull)
    assert process.cwd() == str(home)
    await client.close()
    await gone(home)
    assert not where.socket.exists()
    assert not where.info.exists()


def test_the_environment_of_an_engine() -> None:
    given = {"HF_TOKEN": "secret", "HUGGING_FACE_HUB_TOKEN": "secret", "PATH": "/bin", "OMP_WAIT_POLICY": "ACTIVE"}
    result = runtime.engine_environment(EngineSettings(threads=3), given)
    assert "secret" not in result.values()
    assert result["PATH"] == "/bin"
    assert (result["HF_HUB_OFFLINE"], result["OMP_WAIT_POLICY"], result["OMP_NUM_THREADS"]) == ("1", "PASSIVE", "3")
    chosen = runtime.engine_environment(EngineSettings(), {"OMP_NUM_THREADS": "5", "HF_HUB_OFFLINE": "0"})
    assert (chosen["HF_HUB_OFFLINE"], chosen["OMP_NUM_THREADS"]) == ("1", "5")


async def test_other_versions_and_devices_run_side_by_side(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    old = EngineClient(QUICK)
    await old.start()
    monkeypatch.setattr(runtime, "__version__", "99.0")
    new = EngineClient(QUICK)
    await new.start()
    cpu = EngineClient(EngineSettings(idle_seconds=0.5, device="cpu"))
    await cpu.start()
    assert len({client._link._held.info.pid for client in (old, new, cpu)}) == 3
    await asyncio.gather(*(client.close() for client in (old, new, cpu)))
    await gone(home)


async def test_an_engine_of_another_protocol_is_refused(home: Path) -> None:
    client = EngineClient(QUICK)
    await client.start()
    where = place(QUICK)
    info = read_info(where.info)
    assert info is not None
    changed = json.loads(where.info.read_text()) | {"protocol": 0, "version": "0.0.1"}
    where.info.write_text(json.dumps(changed))
    other = EngineClient(QUICK)
    with pytest.raises(InklingError) as caught:
        await other.start()
    assert caught.value.reason == "engine-version"
    await client.close()
    await gone(home)


async def test_closing_while_the_engine_starts_is_an_error_not_a_cancellation(home: Path) -> None:
    client = EngineClient(QUICK)
    asking = asyncio.create_task(classify(client))
    await until(lambda: client._link._joining is not None)
    await client.close()
    with pytest.raises(InklingError, match="is closed"):
        await asking
    await asyncio.get_running_loop().shutdown_default_executor()  # one that was just being spawned comes up first
    await gone(home)


async def test_cancelling_a_call_stops_its_work_in_the_engine(home: Path) -> None:
    client = EngineClient(QUICK)
    call = asyncio.create_task(client.classify(["x" * 40] * 1000, model="fake?item_s=0.005"))
    await client.start()
    async with asyncio.timeout(20):
        while (await client.status()).extra.get("computed_inputs", 0) == 0:
            await asyncio.sleep(0.01)
        call.cancel()
        while (await client.status()).active_requests:
            await asyncio.sleep(0.01)
    status = await client.status()
    assert status.cancelled_requests == 1
    assert status.extra["computed_inputs"] < 1000
    assert await classify(client) == "bad"
    await client.close()
    await gone(home)


# Leaving


async def test_it_stays_for_a_lease_and_leaves_after_the_last(home: Path) -> None:
    first, second = EngineClient(QUICK), EngineClient(QUICK)
    await first.start()
    await second.start()
    await first.close()
    await asyncio.sleep(1.2)
    assert len(engines(home)) == 1
    await second.close()
    await gone(home)


async def test_idle_exit_racing_arrivals_answers_everyone(home: Path) -> None:
    async def visit(n: int) -> str:
        await asyncio.sleep(n * 0.13)
        client = EngineClient(EngineSettings(idle_seconds=0.05))
        try:
            return await classify(client)
        finally:
            await client.close()

    assert await asyncio.gather(*(visit(n) for n in range(25))) == ["bad"] * 25
    await gone(home)


async def test_a_killed_window_gives_its_lease_back(home: Path) -> None:
    window = subprocess.Popen([sys.executable, "-c", WINDOW], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    await asyncio.to_thread(window.stdout.readline)
    assert len(engines(home)) == 1
    window.kill()
    window.communicate()
    await gone(home)


@pytest.mark.parametrize("stream", [True, False])
async def test_sigterm_with_a_stream_open_ends_it_and_leaves(home: Path, stream: bool) -> None:
    client = EngineClient(QUICK)
    events = Events(client)
    await client.start()
    process = psutil.Process(await pid_of(client))
    if stream:
        request = GenerateRequest("fake?token_s=0.01", "p", max_tokens=100_000)
        async with aclosing(client.generate(request)) as chunks:
            await anext(chunks)
            process.terminate()
            with pytest.raises(InklingError) as caught:
                async for _ in chunks:
                    pass
        assert caught.value.reason in ("engine-crashed", "cancelled")
    else:
        process.terminate()
    await events.wait_for("stopped")
    await asyncio.to_thread(process.wait, 10)
    assert "crashed" not in events.kinds
    assert await classify(client) == "bad"  # a fresh one, on need
    await client.close()
    await gone(home)


# Crashing


async def test_a_crash_in_mid_stream_is_told_and_the_next_request_is_served(home: Path) -> None:
    client = EngineClient(QUICK)
    events = Events(client)
    request = GenerateRequest("fake?token_s=0.01", "p", max_tokens=100_000)
    async with aclosing(client.generate(request)) as chunks:
        await anext(chunks)
        os.kill(await pid_of(client), signal.SIGKILL)
        with pytest.raises(InklingError) as caught:
            async for _ in chunks:
                pass
    assert caught.value.reason == "engine-crashed"
    await events.wait_for("started", 2)
    assert events.kinds == ["started", "crashed", "started"]
    assert await classify(client) == "bad"
    await client.close()
    await gone(home)


async def test_a_unary_call_is_retried_once_after_a_crash(home: Path) -> None:
    client = EngineClient(QUICK)
    await client.start()
    victim = await pid_of(client)
    calls = [asyncio.create_task(classify(client, model=f"fake?item_s=0.5&n={n}")) for n in range(5)]
    async with asyncio.timeout(10):
        while (await client.status()).active_requests < 5:
            await asyncio.sleep(0.01)
    os.kill(victim, signal.SIGKILL)
    assert await asyncio.gather(*calls) == ["bad"] * 5
    assert await pid_of(client) != victim
    await client.close()
    await gone(home)


async def test_an_input_that_kills_the_engine_is_not_retried_for_ever(home: Path) -> None:
    client = EngineClient(QUICK)
    with pytest.raises(InklingError) as caught:
        await classify(client, "poison", model="fake?poison=poison&run_fault=die")
    assert caught.value.reason == "engine-crashed"
    assert await classify(client) == "bad"
    await client.close()
    await gone(home)


async def test_after_too_many_crashes_it_gives_up_until_it_is_restarted(home: Path) -> None:
    client = EngineClient(EngineSettings(idle_seconds=0.5, crash_limit=2))
    events = Events(client)
    for n in range(2):
        await client.start()
        await events.wait_for("started", n + 1)
        os.kill(await pid_of(client), signal.SIGKILL)
        await events.wait_for("crashed", n + 1)
    await events.wait_for("gave-up")
    with pytest.raises(InklingError) as caught:
        await classify(client)
    assert caught.value.reason == "engine-gave-up"
    assert engines(home) == []
    await client.restart()
    assert await classify(client) == "bad"
    await client.close()
    await gone(home)


async def test_restart_replaces_an_engine_that_hangs(home: Path) -> None:
    client = EngineClient(QUICK)
    await client.start()
    victim = psutil.Process(await pid_of(client))
    victim.suspend()
    await client.restart()
    assert not victim.is_running() or victim.status() == psutil.STATUS_ZOMBIE
    assert await classify(client) == "bad"
    await client.close()
    await gone(home)


# Private engines


async def test_private_engines_are_not_shared_and_die_with_their_window(home: Path) -> None:
    private = EngineSettings(private=True)
    one, other = EngineClient(private), EngineClient(private)
    await asyncio.gather(one.start(), other.start())
    assert await pid_of(one) != await pid_of(other)
    assert len(engines(home)) == 2
    await asyncio.gather(one.close(), other.close())
    await gone(home)


async def test_a_private_engine_notices_that_its_window_was_killed(home: Path) -> None:
    script = WINDOW.replace("idle_seconds=0.5", "private=True")
    window = subprocess.Popen([sys.executable, "-c", script], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    await asyncio.to_thread(window.stdout.readline)
    assert len(engines(home)) == 1
    window.kill()
    window.communicate()
    await gone(home)


async def test_an_engine_without_its_parent_leaves_at_once(home: Path) -> None:
    where = Place("orphan", runtime.runtime_folder())
    command = [sys.executable, "-m", "inkling.engine", "--name=orphan", "--private", "--parent=1"]
    process = subprocess.Popen(command, cwd=where.folder, stdout=subprocess.PIPE, text=True)
    assert await asyncio.to_thread(process.wait, 20) == 0
    process.communicate()
    assert "leaving: its window has gone" in where.log.read_text()


# Folders


@pytest.mark.parametrize(
    ("spoil", "words"),
    [
        (lambda folder: folder.chmod(0o755), "open to other users"),
        (lambda folder: (folder.rmdir(), folder.write_text("")), "cannot be used"),
        (lambda folder: (folder.rmdir(), folder.symlink_to("/tmp")), "is not a folder"),
    ],
)
async def test_a_runtime_folder_that_is_not_ours_alone_is_refused(home: Path, spoil, words: str) -> None:
    home.mkdir(mode=0o700)
    spoil(home)
    client = EngineClient(QUICK)
    with pytest.raises(InklingError, match=words) as caught:
        await client.start()
    assert caught.value.reason == "runtime-folder"
    assert str(home) in caught.value.message
    await client.close()
    home.chmod(0o700) if home.is_dir() and not home.is_symlink() else home.unlink()


def test_a_folder_of_another_user_is_refused(tmp_path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = private_folder(tmp_path / "mine")
    monkeypatch.setattr(os, "getuid", lambda: folder.stat().st_uid + 1)
    with pytest.raises(InklingError, match="belongs to another user"):
        private_folder(folder)


def test_a_folder_inside_one_that_others_may_change_is_refused(tmp_path) -> None:
    tmp_path.chmod(0o777)
    with pytest.raises(InklingError, match="could be changed by another user"):
        private_folder(tmp_path / "mine")
    tmp_path.chmod(0o1777)  # sticky, like /tmp: others may add but not replace
    assert private_folder(tmp_path / "mine").is_dir()


def test_a_folder_that_cannot_be_read(tmp_path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = private_folder(tmp_path / "mine")
    folder.chmod(0)
    monkeypatch.setattr(os, "access", lambda *_: False)  # whoever runs this: root is refused nothing
    with pytest.raises(InklingError, match="cannot be read and written"):
        private_folder(folder)
    folder.chmod(0o700)


def test_a_folder_that_cannot_be_made(tmp_path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(InklingError, match="cannot be used: Not a directory"):
        private_folder(tmp_path / "file" / "inkling")


async def test_a_very_long_runtime_path(tmp_path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = tmp_path / ("long" * 30)
    folder.mkdir(mode=0o700)
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(folder))
    client = EngineClient(QUICK)
    assert await classify(client) == "bad"
    path = place(QUICK).socket
    assert len(os.fsencode(path)) <= 103
    assert stat.S_IMODE(path.parent.stat().st_mode) == 0o700
    await client.close()
    await gone(folder / "inkling")
    assert not path.exists()
    path.parent.rmdir()


async def test_a_log_on_a_full_disk_costs_only_the_log(home: Path) -> None:
    log = place(QUICK).log
    log.parent.mkdir(parents=True)
    log.symlink_to("/dev/full")  # every write gives "no space left on device"
    client = EngineClient(QUICK)
    assert await classify(client) == "bad"
    await client.close()
    await gone(home)


async def test_a_log_folder_that_cannot_be_made_is_told_in_the_status(home: Path) -> None:
    log = place(QUICK).log
    log.parent.parent.parent.mkdir(parents=True)
    log.parent.parent.write_text("a file where the folder should be")
    client = EngineClient(QUICK)
    assert await classify(client) == "bad"
    assert "no log is written" in (await client.status()).extra["log_problem"]
    await client.close()
    await gone(home)


async def test_an_engine_that_cannot_write_its_files_says_so_and_leaves(home: Path) -> None:
    where = Place("full", runtime.runtime_folder())
    # no file may grow: what a full disk does, for one process
    command = f"ulimit -f 0; exec {sys.executable} -m inkling.engine --name=full --idle-seconds=0.5"
    process = subprocess.Popen(["bash", "-c", command], cwd=where.folder, stdout=subprocess.PIPE, text=True)
    output, _ = await asyncio.to_thread(process.communicate, timeout=60)
    error = json.loads(output.splitlines()[0])["error"]
    assert error["reason"] == "runtime-folder"
    assert "cannot start: File too large" in error["message"]
    assert process.returncode == 1
    assert engines(home) == []
    assert not where.socket.exists()


async def test_a_full_queue_reaches_the_window_as_a_reason_with_the_time_to_wait(home: Path) -> None:
    client = EngineClient(EngineSettings(idle_seconds=0.5, queue_limit=4))
    calls = [asyncio.create_task(classify(client, model="fake?item_s=0.2")) for _ in range(8)]
    answers = await asyncio.gather(*calls, return_exceptions=True)
    refused = [answer for answer in answers if isinstance(answer, InklingError)]
    assert {error.reason for error in refused} == {"engine-busy"}
    assert "Try again in " in refused[0].hint
    assert len(refused) + answers.count("bad") == 8
    assert "bad" in answers
    await client.close()
    await gone(home)


# Loopback and token, for where there are no Unix sockets


async def test_loopback_needs_the_token(home: Path) -> None:
    where = Place("tcp", runtime.runtime_folder())
    process = subprocess.Popen(
        [sys.executable, "-m", "inkling.engine", "--tcp", "--name=tcp", "--idle-seconds=0.5"],
        cwd=where.folder,
        stdin=subprocess.PIPE,  # a prompt must not find an answer there
        stdout=subprocess.PIPE,
        text=True,
    )
    assert json.loads(process.stdout.readline())["ready"]
    info = read_info(where.info)
    assert info is not None
    assert info.port > 0
    assert len(info.token) >= 32
    assert not info.socket
    assert Path(f"/proc/{info.pid}/fd/0").readlink() == Path(os.devnull)
    assert await daemon.answers(info)
    assert not await daemon.answers(replace(info, token="wrong"))
    assert await daemon.stop(where) == info
    process.communicate()
    assert process.returncode == 0


async def test_a_client_without_unix_sockets(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(runtime, "HAS_UNIX_SOCKETS", False)
    client, other = EngineClient(QUICK), EngineClient(QUICK)
    assert await asyncio.gather(classify(client), classify(other)) == ["bad", "bad"]
    async with aclosing(client.generate(GenerateRequest("fake", "p", max_tokens=3))) as chunks:
        assert [chunk.text async for chunk in chunks] == ["w0 ", "w1 ", "w2 "]
    assert len(engines(home)) == 1
    assert list(home.glob("*.sock")) == []
    await asyncio.gather(client.close(), other.close())
    await gone(home)


# Readiness


async def test_the_process_says_why_it_does_not_start(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "executable", "/nowhere/python")
    client = EngineClient(QUICK)
    with pytest.raises(InklingError, match="cannot be started: No such file"):
        await client.start()
    monkeypatch.setattr(sys, "executable", "/bin/false")
    with pytest.raises(InklingError, match="ended while starting"):
        await client.start()
    await client.close()


async def test_a_second_process_for_the_same_place_leaves_at_once(home: Path) -> None:
    client = EngineClient(QUICK)
    await client.start()
    where = place(QUICK)
    report = await asyncio.to_thread(daemon.spawn, where, QUICK, 20.0)
    assert report == {"held": True}
    assert await classify(client) == "bad"
    await client.close()
    await gone(home)


def test_an_info_file_outlives_no_process(tmp_path) -> None:
    mine = Info("x", os.getpid(), psutil.Process().create_time())
    assert is_running(mine)
    assert not is_running(Info("x", os.getpid(), time.time() - 10**6))
    mine.write(tmp_path / "x.json")
    assert read_info(tmp_path / "x.json") == mine
    for text in ("", "[]", "{", '{"pid": 1}'):
        (tmp_path / "x.json").write_text(text)
        assert read_info(tmp_path / "x.json") is None


async def test_closing_while_joining_leaves_no_connection(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    asked, gone = asyncio.Event(), asyncio.Event()

    async def never_answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        asked.set()
        assert await reader.read() == b""
        gone.set()
        writer.close()

    path = str(tmp_path / "s")
    monkeypatch.setattr(daemon, "said", lambda where: Info("x", os.getpid(), 0.0, socket=path))
    before = asyncio.all_tasks()
    async with await asyncio.start_unix_server(never_answer, path):
        link = EngineLink(QUICK)
        joining = asyncio.create_task(link.join())
        await asyncio.wait_for(asked.wait(), 10)
        await link.close()
        await asyncio.wait_for(gone.wait(), 10)
        with pytest.raises(InklingError, match="closed"):
            await joining
        await until(lambda: asyncio.all_tasks() == before)


async def test_the_engines_place_is_found_beside_the_event_loop(monkeypatch: pytest.MonkeyPatch) -> None:
    """Its name holds the newest change of the engine's code, for which many files are looked at."""
    seen = []
    monkeypatch.setattr(runtime, "_code_stamp", lambda: seen.append(threading.current_thread()) or 1)
    client = EngineClient(QUICK)
    with pytest.raises(InklingError):
        await client.status()
    await client.close()
    assert seen and threading.main_thread() not in seen
