"""Tokens, conversations and words, in the real server with a real engine, on the files of examples/rules-workspace.

The masked model is trained here, by our own recipe, on sentences in which the noun decides the adjective: what it says
means something. The chat model is the starter with a template that wants users and assistants to take turns.
"""

from __future__ import annotations

import asyncio
import json
import random
import shutil
from collections.abc import AsyncGenerator
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio
import torch
from lsprotocol import types
from pygls.exceptions import JsonRpcException
from pytest_lsp import LanguageClient
from tests.lsp.conftest import serving
from tests.lsp.test_clients import plain
from tests.lsp.test_handlers import Desk, of, position

from inkling.api import SEMANTIC_TYPES
from inkling.engine.models.catalog import resolve

pytestmark = [pytest.mark.asyncio(loop_scope="module"), pytest.mark.timeout(300)]

EXAMPLE = Path(__file__).parents[2] / "examples" / "rules-workspace"
WORDS = {"fire": ("hot", "warm"), "ice": ("cold", "cool"), "lion": ("strong", "brave"), "mouse": ("small", "shy")}
TURNS = """{% for message in messages %}
{% if message['role'] == 'assistant' and loop.previtem is defined and loop.previtem['role'] == 'assistant' %}
{{ raise_exception('The assistant has just spoken.') }}
{% endif %}
{{ '<|im_start|>' + message['role'] + '\n' + message['content'] + '<|im_end|>' }}
{% endfor %}
{% if add_generation_prompt %}{{ '<|im_start|>assistant' }}{% endif %}"""
ENDLESS = "{% for a in range(99999) %}{% for b in range(99999) %}{% endfor %}{% endfor %}"


@pytest.fixture(scope="module")
def models(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """`masked`, `turns`, `endless` and `bare`, which has no tokenizer."""
    root = tmp_path_factory.mktemp("models")
    found = {"masked": masked_model(root)}
    for name, template in (("turns", TURNS), ("endless", ENDLESS), ("bare", "")):
        found[name] = shutil.copytree(resolve("starter:code").path, root / name)
        (found[name] / "chat_template.jinja").write_text(template)
    (found["bare"] / "tokenizer.json").unlink()
    return found


def masked_model(root: Path) -> Path:
    """Train one in a few seconds into `root`; returns its folder."""
    from inkling.training.masked import train_from_recipe
    from inkling.training.tokenizer import train_from_scratch, wrap

    pick = random.Random(0)
    nouns = [pick.choice(list(WORDS)) for _ in range(1500)]
    texts = [f"The {noun} is very {pick.choices(WORDS[noun], (3, 1))[0]} today." for noun in nouns]
    (root / "corpus").mkdir()
    for name, part in (("train", texts), ("held-out", texts[:64])):
        lines = [json.dumps({"package": "p", "path": str(number), "text": text}) for number, text in enumerate(part)]
        (root / "corpus" / f"{name}.jsonl").write_text("\n".join(lines) + "\n")
    wrap(train_from_scratch(texts, 400), 64).save_pretrained(root / "tokenizer")
    (root / "recipe.toml").write_text(
        'corpus = "corpus"\ntokenizer = "tokenizer"\nout = "run"\ndevice = "cpu"\nsteps = 250\n'
        "batch = 32\ncontext = 8\n"
        "rate = 6e-3\nmasked_share = 0.3\nsave_every = 1000\n[shape]\nlayers = 2\nwidth = 64\nheads = 4\ninner = 64\n"
    )
    threads = torch.get_num_threads()
    torch.set_num_threads(1)  # threads that wait for each other make so small a model a hundred times slower
    try:
        return train_from_recipe(root / "recipe.toml", root / "run", {})
    finally:
        torch.set_num_threads(threads)


def settings(models: dict[str, Path], **changed: Any) -> dict[str, Any]:
    plugins: dict[str, Any] = {
        "engine": {"private": True},
        "better_word": {"model": str(models["masked"]), "least": 0.05},
        "chat_template": {"model": str(models["turns"])},
        "token_count": {"lens": "never"},
        "token_lens": {"shown": True},
        "rules": {"enabled": False},
        "classify": {"enabled": False},
        "server": {"timeouts": {"code_actions": 60, "completion": 60}},
    }
    return plugins | changed


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def desk(tmp_path_factory: pytest.TempPathFactory, models: dict[str, Path]) -> AsyncGenerator[Desk, None]:
    root = shutil.copytree(EXAMPLE, tmp_path_factory.mktemp("surfaces") / "work")

    def prepare(client: LanguageClient) -> None:
        for surface in ("inlayHint", "semanticTokens", "diagnostic"):
            client.protocol.fm.features.setdefault(f"workspace/{surface}/refresh", lambda params: None)

    environment = {"INKLING_CONFIG": str(root.parent / "user.toml")}
    async with serving(root, settings(models), environment, prepare) as client:
        yield Desk(client, root)


def opened(desk: Desk, name: str, language: str) -> tuple[str, str]:
    text = (desk.root / name).read_text(encoding="utf-8")
    return desk.open(name, language, text), text


async def run(desk: Desk, command: str, uri: str, **more: Any) -> Any:
    params = types.ExecuteCommandParams(f"inkling.{command}", [{"uri": uri} | more])
    return await desk.client.workspace_execute_command_async(params)


async def refused(desk: Desk, command: str, uri: str, words: str) -> None:
    """Until the settings that were just changed are in force."""
    async with asyncio.timeout(30):
        while True:
            try:
                await run(desk, command, uri)
            except JsonRpcException as error:
                assert words in str(error)
                return
            await asyncio.sleep(0.1)


async def reasons(desk: Desk, uri: str) -> set[str]:
    status = plain(await desk.client.protocol.send_request_async("inkling/status", {}))
    return {reason["reason"] for reason in status["reasons"] if reason["uri"] == uri}


async def test_tokens_in_colours_and_ids(desk: Desk) -> None:
    uri, text = opened(desk, "words.md", "markdown")
    document = types.TextDocumentIdentifier(uri)
    found = await desk.client.text_document_semantic_tokens_full_async(types.SemanticTokensParams(document))
    assert found is not None
    lines, line, column, parts, by_type = text.split("\n"), 0, 0, list[str](), dict[str, list[str]]()
    for down, right, length, kind, _ in zip(*[iter(found.data)] * 5, strict=True):
        line, column = line + down, right if down else column + right
        part = lines[line].encode("utf-16-le")[2 * column : 2 * (column + length)].decode("utf-16-le")
        by_type.setdefault(SEMANTIC_TYPES[kind], []).append(part)
        parts.append(part)
    assert by_type["tokenSpecial"] == ["<|endoftext|>"]
    assert "".join(parts) == text.replace("\n", ""), "the starter's vocabulary covers everything"
    place = of(text, lines[7])
    hints = await desk.client.text_document_inlay_hint_async(types.InlayHintParams(document, place))
    assert hints and {hint.position.line for hint in hints} <= {place.start.line, place.start.line + 1}
    assert any("+" in str(hint.label) for hint in hints), "the tokens of one emoji"
    said = await run(desk, "token_lens.compare", uri, range=plain(of(text, "unknown to some")))
    assert "of starter:code" in said and "of starter:tone" in said
    assert "off" in await run(desk, "token_lens.show", uri)
    found = await desk.client.text_document_semantic_tokens_full_async(types.SemanticTokensParams(document))
    assert found is not None and not found.data


async def test_words_that_fit_once_the_model_is_there(desk: Desk, models: dict[str, Path]) -> None:
    uri, text = opened(desk, "words.md", "markdown")
    cursor = position(text, text.index("cold") + 1)
    hasty = settings(models, server={"timeouts": {"code_actions": 0.1, "completion": 60}})
    desk.client.workspace_did_change_configuration(types.DidChangeConfigurationParams({"inkling": hasty}))
    async with asyncio.timeout(30):
        while "engine-slow" not in await reasons(desk, uri):
            await desk.actions(uri, types.Range(cursor, cursor))
    desk.client.workspace_did_change_configuration(types.DidChangeConfigurationParams({"inkling": settings(models)}))
    async with asyncio.timeout(90):
        while not any("Better" in name for name in await desk.actions(uri, types.Range(cursor, cursor))):
            await asyncio.sleep(0.1)
    actions = [name for name in await desk.actions(uri, types.Range(cursor, cursor)) if "Better" in name]
    assert actions[0].startswith("Better word: “hot”"), actions
    action = (await desk.actions(uri, types.Range(cursor, cursor)))[actions[0]]
    assert action.edit is not None
    place = position(text, text.index("[MASK]") + 6)
    found = await desk.client.text_document_completion_async(
        types.CompletionParams(types.TextDocumentIdentifier(uri), place)
    )
    assert isinstance(found, types.CompletionList)
    items = sorted((item for item in found.items if item.detail), key=lambda item: str(item.sort_text))
    assert items[0].label == "cold"
    assert isinstance(items[0].text_edit, types.TextEdit) and items[0].text_edit.range == of(text, "[MASK]")
    desk.apply(action.edit)
    assert "The fire is very hot today." in desk.texts[uri]


async def test_tokens_of_each_message_and_the_refused_one(desk: Desk) -> None:
    uri, text = opened(desk, "conversations/refund.json", "json")
    (problem,) = await desk.diagnostics(uri)
    second = text.index('"assistant"', text.index('"assistant"') + 1)
    assert problem.range == types.Range(position(text, second), position(text, second + len('"assistant"')))
    assert problem.code == "template-refuses" and "The assistant has just spoken." in problem.message
    with pytest.raises(JsonRpcException, match=r"just spoken.*message 4"):
        await run(desk, "chat_template.preview", uri)
    start = text.index(',\n    { "role": "assistant", "content": "Is there')
    desk.replace(uri, start, text.index("\n", start + 2) - 1, "")
    assert await desk.diagnostics(uri) == []
    lenses = await desk.client.text_document_code_lens_async(types.CodeLensParams(types.TextDocumentIdentifier(uri)))
    titles = [lens.command.title for lens in lenses or [] if lens.command]
    assert titles[0].startswith("4 messages, ") and [title.split(":")[0] for title in titles[1:]] == [
        "system", "user", "assistant", "user",
    ]  # fmt: skip
    counts = [int(title.split(": ")[1].split()[0]) for title in titles[1:]]
    assert f", {sum(counts)} tokens of" in titles[0], "each token belongs to one message"


async def test_preview_of_a_prompt_file(desk: Desk) -> None:
    uri, _ = opened(desk, "conversations/rewrite.prompt", "plaintext")
    assert "tokens of" in await run(desk, "chat_template.preview", uri)
    shown = Path(desk.client.shown_documents[-1].uri.removeprefix("file://"))
    assert shown.read_text(encoding="utf-8") == (
        "<|im_start|>system\nYou make sentences shorter and keep their meaning.<|im_end|>\n"
        "<|im_start|>user\nMake this shorter: {{text}}<|im_end|>\n<|im_start|>assistant"
    )
    uri, _ = opened(desk, "conversations/talk.yaml", "yaml")
    lenses = await desk.client.text_document_code_lens_async(types.CodeLensParams(types.TextDocumentIdentifier(uri)))
    assert len(lenses or []) == 3


async def test_a_template_that_does_not_end_and_a_model_without_a_tokenizer(
    desk: Desk, models: dict[str, Path]
) -> None:
    changed = settings(
        models, chat_template={"model": str(models["endless"])}, token_lens={"model": str(models["bare"])},
        better_word={},
    )  # fmt: skip
    desk.client.workspace_did_change_configuration(types.DidChangeConfigurationParams({"inkling": changed}))
    uri, text = opened(desk, "conversations/talk.yaml", "yaml")
    await refused(desk, "chat_template.preview", uri, "did not end within")
    assert "template-rejected" in await reasons(desk, uri)
    await refused(desk, "token_lens.show", uri, "has no tokenizer.json")
    uri, text = opened(desk, "words.md", "markdown")
    place = position(text, text.index("[MASK]") + 6)
    await desk.client.text_document_completion_async(types.CompletionParams(types.TextDocumentIdentifier(uri), place))
    assert "no-model" in await reasons(desk, uri)
