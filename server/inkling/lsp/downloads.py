"""Models that the user has fetched from a hub, from within the editor: asked with the size told, shown, stoppable.

The server itself reaches no network: each download is an `inkling models pull --steps` of its own, whose steps are
lines of JSON, and which ends with the server.
"""

from __future__ import annotations

import asyncio
import json
import sys
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from inkling.api import InklingError, Severity
from inkling.lsp.editor import SessionEditor
from inkling.lsp.progress import Bar

if TYPE_CHECKING:
    from inkling.lsp.session import Session

YES, NO = "Download", "Not now"
MEGA = 1_000_000


class Downloads:
    """Those of one session, one per model."""

    def __init__(self, session: Session) -> None:
        self._session = session
        self._running: set[str] = set()

    async def begin(self, argument: Mapping[str, Any]) -> None:
        """Begin one in the background: it may take longer than any request may."""
        named = argument.get("model")
        model = named.strip() if isinstance(named, str) else ""
        if not model or model.startswith("-"):
            raise InklingError("bad-model-id", "No model is named.", "Write org/name, or org/name@revision.")
        if model in self._running:
            raise InklingError("busy", f"{model[:96]} is being downloaded already.")
        self._running.add(model)
        self._session.protocol.in_background(self._run(model), "download")

    async def _run(self, model: str) -> None:
        session = self._session
        try:
            async with session.progresses.during_request(f"Downloading {model}", None) as bar:
                done = await self._pull(model, bar)
            if done is not None:
                tasks = ", ".join(done["tasks"]) or "no task that is known"
                said = f"{model} is here and whole: {done['bytes'] / MEGA:,.1f} MB, for {tasks}."
                session.show_message(f"Inkling: {said}", Severity.INFORMATION)
        except InklingError as error:
            session.show_message(f"Inkling: {error}", Severity.ERROR)
        except asyncio.CancelledError:
            said = f"the download of {model} was stopped. Whole files are kept; the one that was coming begins anew."
            session.show_message(f"Inkling: {said}", Severity.INFORMATION)
        finally:
            self._running.discard(model)

    async def _pull(self, model: str, bar: Bar) -> dict[str, Any] | None:
        """Its last step; None when the user does not want it. Raises InklingError with what the command said."""
        command = [sys.executable, "-P", "-m", "inkling", "models", "pull", model, "--steps"]
        pipe = asyncio.subprocess.PIPE
        process = await asyncio.create_subprocess_exec(*command, stdin=pipe, stdout=pipe, stderr=pipe)
        assert process.stdin is not None and process.stdout is not None and process.stderr is not None
        try:
            bar.report("asking the hub")
            async for line in process.stdout:
                step = json.loads(line)
                if "tasks" in step:
                    return dict(step)
                if "question" in step:
                    bar.report("waiting for your answer")
                    if await SessionEditor(self._session, "").choose(step["question"], [YES, NO]) != YES:
                        return None
                    process.stdin.write(b"yes\n")
                else:
                    here, of = step["here"], step["of"]
                    bar.report(f"{here / MEGA:,.1f} of {of / MEGA:,.1f} MB", here / of if of else None)
            said = (await process.stderr.read()).decode(errors="replace").strip()
            raise InklingError(
                "download-failed", said.removeprefix("inkling models: ") or f"{model} was not downloaded."
            )
        finally:
            if process.returncode is None:
                process.kill()
            await process.wait()
