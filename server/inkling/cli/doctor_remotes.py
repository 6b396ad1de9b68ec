"""What the doctor asks remote engines: do they answer, with what, how fast, and is the token there."""

from __future__ import annotations

import asyncio

from inkling.engine.protocol import Task
from inkling.engine.remote.address import Address
from inkling.engine.remote.connection import Checked, Remote
from inkling.engine.remote.settings import RemoteSettings
from inkling.engine.remote.token import find_token, source_of
from inkling.engine.remote.where import text_goes
from inkling.engine.settings import EngineSettings, route
from inkling.errors import InklingError

Found = tuple[str, str, str, str]
"""(name, state, detail, advice)."""


def findings(settings: EngineSettings) -> list[Found]:
    """Where text goes, then each remote; one that no route leads to is not asked."""
    if not settings.remotes and not settings.routes:
        return []
    found: list[Found] = [("text", "ok", text_goes(settings)["detail"], "")]
    used = {route(settings, task) for task in Task}
    asked = [name for name in settings.remotes if name in used]
    results = dict(zip(asked, asyncio.run(_ask(settings, asked)), strict=True))
    for name, remote in settings.remotes.items():
        found += _token(name, settings)
        if name in results:
            found.append(_result(name, remote.url, results[name]))
        else:
            found.append(_unused(name, remote))
    return found


def _unused(name: str, remote: RemoteSettings) -> Found:
    """An address as it stands may hold a password: only what passed the check is shown."""
    try:
        address = Address.of(name, remote)
    except InklingError as error:
        return (name, "off", f"no route leads to it, so it was not asked; {error.message}", error.hint)
    return (name, "off", f"{address.shown}: no route leads to it, so it was not asked", "")


async def _ask(settings: EngineSettings, names: list[str]) -> list[Checked]:
    remotes = [Remote(name, settings.remotes[name]) for name in names]
    try:
        return await asyncio.gather(*(remote.check() for remote in remotes))
    finally:
        await asyncio.gather(*(remote.close() for remote in remotes))


def _token(name: str, settings: EngineSettings) -> list[Found]:
    source = source_of(settings.remotes[name])
    if not source:
        return []
    try:
        find_token(name, settings.remotes[name])
    except InklingError as error:
        return [(f"{name} token", "broken", error.message, error.hint)]
    return [(f"{name} token", "ok", f"is in {source}", "")]


def _result(name: str, url: str, checked: Checked) -> Found:
    if checked.error is not None:
        return (name, "broken", checked.error.message, checked.error.hint)
    models = ", ".join(checked.models[:6]) or "none listed"
    more = f" and {len(checked.models) - 6} more" if len(checked.models) > 6 else ""
    return (name, "ok", f"{url} speaks {checked.kind}, {checked.milliseconds:.0f} ms; models: {models}{more}", "")
