"""The session's end of the engine, beside a scripted one: failures that the user sees, settings that change."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest
from tests.lsp.editor import session_with

from inkling.engine.fake import FakeEngine
from inkling.engine.protocol import EngineEvent
from inkling.errors import InklingError

REFUSED = InklingError("engine-start", "The engine did not start.", "Look into its log.")


class Refusing(FakeEngine):
    """Its restart fails as long as there is a fault for it."""

    async def restart(self) -> None:
        if "restart" in self.faults:
            raise self.faults["restart"]
        await super().restart()


@pytest.fixture(autouse=True)
def user_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    path = tmp_path / "user.toml"
    path.write_text("[server]\nstart_engine = false\n")
    monkeypatch.setenv("INKLING_CONFIG", str(path))
    return path


async def test_11_engine_settings_that_change_in_a_file_make_a_new_connection(user_file: Path) -> None:
    engine = FakeEngine()
    async with session_with("words=Words", engine=engine) as (editor, session):
        await editor.initialize(initializationOptions=None)
        made: list[bool] = []
        session.engine._connect = lambda settings: made.append(settings.private) or engine
        for private in (False, False, True):
            user_file.write_text(f"[server]\nstart_engine = false\n[engine]\nprivate = {str(private).lower()}\n")
            await session.reload_settings()
            session.engine.connection()
        assert made == [False, True]


async def test_11_settings_are_read_one_time_after_the_other(monkeypatch: pytest.MonkeyPatch) -> None:
    async with session_with("words=Words") as (editor, session):
        await editor.initialize(initializationOptions=None)
        await session.reload_settings()
        reading, most = 0, 0
        reload = session.configuration.reload

        async def counted() -> None:
            nonlocal reading, most
            reading += 1
            most = max(most, reading)
            await reload()
            reading -= 1

        monkeypatch.setattr(session.configuration, "reload", counted)
        await asyncio.gather(*(session.reload_settings() for _ in range(3)))
        assert most == 1


@pytest.mark.parametrize("fault", [REFUSED, ValueError("a bug")])
@pytest.mark.parametrize("by", ["command", "prompt"])
async def test_10_a_failed_restart_is_told_and_can_be_tried_again(fault: Exception, by: str) -> None:
    engine = Refusing(faults={"restart": fault})
    async with session_with("words=Words", engine=engine) as (editor, session):
        editor.answers["window/showMessageRequest"] = lambda message: {"title": "Restart"}
        await editor.initialize(initializationOptions=None)
        session.engine.connection()
        if by == "command":
            await editor.ask("workspace/executeCommand", {"command": "inkling.restartEngine"})
        else:
            session._engine_event(EngineEvent("gave-up", message="The engine crashed three times."))
        words = "did not start" if fault is REFUSED else "the server's log says where"
        await editor.until(lambda: [message for message in editor.messages if words in message])
        assert session.engine.state == "failed"
        del engine.faults["restart"]
        await editor.ask("workspace/executeCommand", {"command": "inkling.restartEngine"})
        assert session.engine.state == "ready"
