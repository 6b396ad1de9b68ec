"""Where text goes, plainly, from the settings alone."""

from __future__ import annotations

from collections import defaultdict
from typing import Any

from inkling.engine.protocol import Task
from inkling.engine.remote.address import Address
from inkling.engine.remote.settings import LOCAL
from inkling.engine.settings import EngineSettings, route
from inkling.errors import InklingError

HERE = "this machine"

_WORDS = {
    Task.TEXT_GENERATION: "completion and chat",
    Task.SUMMARIZATION: "summaries",
    Task.TRANSLATION: "translation",
    Task.FEATURE_EXTRACTION: "search by meaning",
    Task.TEXT_CLASSIFICATION: "classification",
    Task.TOKEN_CLASSIFICATION: "marking of words",
    Task.ZERO_SHOT_CLASSIFICATION: "classification by your own labels",
    Task.QUESTION_ANSWERING: "answers",
    Task.FILL_MASK: "words for a gap",
}


def text_goes(settings: EngineSettings) -> dict[str, Any]:
    """`goes`: this machine, or the remotes' names and hosts; `detail`: one sentence; `routes`: each task's engine."""
    by_engine: dict[str, list[Task]] = defaultdict(list)
    for task in Task:
        by_engine[route(settings, task)].append(task)
    routes = {str(task): route(settings, task) for task in Task}
    if set(by_engine) == {LOCAL}:
        detail = "Models run in Inkling's own engine; nothing is sent anywhere."
        return {"goes": HERE, "detail": detail, "routes": routes}
    places = {name: _place(settings, name) for name in by_engine if name != LOCAL}
    sent = [
        f"{'everything' if len(tasks) == len(Task) else ', '.join(_WORDS[task] for task in tasks)} → {places[name]}"
        for name, tasks in by_engine.items()
        if name != LOCAL
    ]
    if by_engine[LOCAL]:
        sent.append(f"everything else on {HERE}")
    return {"goes": ", ".join(places.values()), "detail": "; ".join(sent), "routes": routes}


def _place(settings: EngineSettings, name: str) -> str:
    remote = settings.remotes.get(name)
    if remote is None:
        return f"{name} (not configured: nothing is sent)"
    try:
        return str(Address.of(name, remote))
    except InklingError:
        return f"{name} (its address is refused: nothing is sent)"
