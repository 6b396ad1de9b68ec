"""Translation in the real server, with a real engine and a model that translates.

None ships, so a small T5 is trained here, in seconds, on English sentences and their German. The sentences it is asked
for are not among them: it has seen each of their words, never together.
"""

from __future__ import annotations

import itertools
from collections.abc import AsyncGenerator
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio
import torch
import transformers
from lsprotocol import types
from tests.lsp.conftest import serving
from tests.lsp.test_clients import plain
from tests.lsp.test_handlers import Desk, of
from tokenizers import Tokenizer, models, pre_tokenizers, processors, trainers

pytestmark = [pytest.mark.asyncio(loop_scope="module"), pytest.mark.timeout(300)]

NOUNS = {"fire": "Das Feuer", "ice": "Das Eis", "lion": "Der Löwe", "mouse": "Die Maus", "night": "Die Nacht"}
ADJECTIVES = {"hot": "heiß", "cold": "kalt", "strong": "stark", "small": "klein", "quiet": "still", "old": "alt"}
DAYS = {"today": "heute", "again": "wieder", "now": "jetzt"}
UNSEEN = (("fire", "cold", "today"), ("mouse", "strong", "again"), ("night", "hot", "now"))
SPECIAL = ["<pad>", "</s>", "<unk>"]


def english(noun: str, adjective: str, day: str) -> str:
    return f"The {noun} is very {adjective} {day}."


def german(noun: str, adjective: str, day: str) -> str:
    return f"{NOUNS[noun]} ist {DAYS[day]} sehr {ADJECTIVES[adjective]}."


def translation_model(folder: Path) -> Path:
    """Train it into `folder`, which is returned."""
    seen = [words for words in itertools.product(NOUNS, ADJECTIVES, DAYS) if words not in UNSEEN]
    words = Tokenizer(models.WordLevel(unk_token="<unk>"))
    words.pre_tokenizer = pre_tokenizers.WhitespaceSplit()
    texts = [make(*each) for each in seen for make in (english, german)]
    words.train_from_iterator(texts, trainers.WordLevelTrainer(special_tokens=SPECIAL, show_progress=False))
    words.post_processor = processors.TemplateProcessing(single="$A </s>", special_tokens=[("</s>", 1)])
    tokenizer: Any = transformers.PreTrainedTokenizerFast(
        tokenizer_object=words, pad_token="<pad>", eos_token="</s>", unk_token="<unk>"
    )
    size = {"d_model": 64, "d_kv": 16, "d_ff": 128, "num_layers": 2, "num_heads": 4, "dropout_rate": 0.0}
    torch.manual_seed(0)
    model: Any = transformers.T5ForConditionalGeneration(
        transformers.T5Config(vocab_size=len(tokenizer), decoder_start_token_id=0, **size)
    )
    inputs, wanted = (
        tokenizer([make(*each) for each in seen], return_tensors="pt", padding=True) for make in (english, german)
    )
    labels = wanted["input_ids"].masked_fill(wanted["attention_mask"] == 0, -100)
    optimizer = torch.optim.AdamW(model.parameters(), 3e-3)
    threads = torch.get_num_threads()
    torch.set_num_threads(1)  # threads that wait for each other make so small a model a hundred times slower
    try:
        for _ in range(120):
            model(**inputs, labels=labels).loss.backward()
            optimizer.step()
            optimizer.zero_grad()
    finally:
        torch.set_num_threads(threads)
    model.save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    return folder


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def desk(tmp_path_factory: pytest.TempPathFactory) -> AsyncGenerator[Desk, None]:
    home = tmp_path_factory.mktemp("translation")
    model = str(translation_model(home / "model"))
    rule = {"name": "into-german", "title": "Into German, below", "task": "translation", "model": model}
    settings = {
        "engine": {"private": True},
        "translate": {"model": model, "target": "German"},
        "rule": [rule | {"surface": "code-action", "output": "below"}],
        "server": {"timeouts": {"code_actions": 60}},
    }
    environment = {"INKLING_CONFIG": str(home / "user.toml")}
    async with serving(home, settings, environment) as client:
        yield Desk(client, home)


async def run(desk: Desk, command: str, uri: str, place: types.Range, **more: Any) -> Any:
    params = types.ExecuteCommandParams(command, [{"uri": uri, "range": plain(place)} | more])
    return await desk.client.workspace_execute_command_async(params)


@pytest.mark.parametrize("words", UNSEEN)
async def test_an_action_that_an_editor_may_preview(desk: Desk, words: tuple[str, str, str]) -> None:
    before = f"# Of beasts\n\n{english(*words)}\n"
    uri = desk.open(f"{words[0]}.md", "markdown", before)
    action = (await desk.actions(uri, of(before, english(*words))))["Translate selection into German"]
    assert action.edit is None, "the model is asked for what is chosen alone"
    resolved = await desk.client.code_action_resolve_async(action)
    assert desk.texts[uri] == before and resolved.edit is not None
    desk.apply(resolved.edit)
    assert desk.texts[uri] == before.replace(english(*words), german(*words))


async def test_a_command_that_writes_over_the_selection_and_keeps_its_line_ends(desk: Desk) -> None:
    before = "\r\n\r\n".join(english(*words) for words in UNSEEN) + "\r\n"
    uri = desk.open("all.md", "markdown", before)
    await run(desk, "inkling.translate.selection", uri, of(before, before.strip()))
    assert desk.texts[uri] == "\r\n\r\n".join(german(*words) for words in UNSEEN) + "\r\n"


async def test_a_rule_that_puts_it_below(desk: Desk) -> None:
    sentence, answer = english(*UNSEEN[0]), german(*UNSEEN[0])
    uri = desk.open("rule.md", "markdown", f"{sentence}\n\nMore.\n")
    document, context = types.TextDocumentIdentifier(uri), types.CodeActionContext([])
    asked = types.CodeActionParams(document, of(sentence, sentence), context)
    offered = await desk.client.text_document_code_action_async(asked)
    assert "Into German, below" in {action.title for action in offered or []}
    await run(desk, "inkling.rules.run", uri, of(sentence, sentence), rule="into-german")
    assert desk.texts[uri] == f"{sentence}\n{answer}\n\nMore.\n"
