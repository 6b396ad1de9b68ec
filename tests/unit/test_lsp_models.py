"""`inkling/models`: what an editor's list of models is made of."""

from __future__ import annotations

from tests.lsp.editor import session_with


async def test_models_and_the_settings_that_name_one() -> None:
    async with session_with("complete=inkling_plugins.complete:Complete", "words=Words") as (editor, _):
        await editor.initialize()
        found = await editor.ask("inkling/models", {})
        uses = {use["key"]: use for use in found["uses"]}
        assert uses["complete.model"]["model"] == "starter:code"
        assert uses["complete.model"]["tasks"] == ["text-generation"]
        assert not any(key.startswith("words.") for key in uses), "a setting that names no model"
        models = {model["id"]: model for model in found["models"]}
        assert "text-generation" in models["starter:code"]["tasks"] and models["starter:code"]["bytes"] > 0
        assert "feature-extraction" in models["starter:encoder"]["tasks"]


async def test_a_model_that_is_not_here_leaves_its_task_open() -> None:
    async with session_with("complete=inkling_plugins.complete:Complete") as (editor, _):
        await editor.initialize(initializationOptions={"complete": {"model": "someone/not-here"}})
        (use,) = [use for use in (await editor.ask("inkling/models", {}))["uses"] if use["key"] == "complete.model"]
        assert use == {"key": "complete.model", "model": "someone/not-here", "tasks": []}
