"""What a model's folder holds, judged from its small files: task, weights, and reasons to refuse it.

Nothing of the folder is executed and no weight is read. Refused here, before transformers sees the folder:

* `remote-code`: an `auto_map` names Python files that would have to run;
* `pickle-only`: weights that can only be read by executing them;
* `weights-missing`, `weights-corrupt`: no weights, or small files that are no JSON.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from inkling.engine.models.hub_cache import parse_hub_id
from inkling.engine.protocol import Task
from inkling.errors import InklingError

ADAPTER_TYPE = "inkling-encoder-head"
MAX_JSON_BYTES = 64_000_000
PICKLES = (".bin", ".pt", ".pth", ".ckpt", ".pkl", ".pickle", ".h5", ".msgpack")

_HEADS: tuple[tuple[str, tuple[Task, ...]], ...] = (
    ("ForSequenceClassification", (Task.TEXT_CLASSIFICATION,)),
    ("ForTokenClassification", (Task.TOKEN_CLASSIFICATION,)),
    ("ForQuestionAnswering", (Task.QUESTION_ANSWERING,)),
    ("ForMaskedLM", (Task.FILL_MASK, Task.FEATURE_EXTRACTION)),
    ("ForPreTraining", (Task.FILL_MASK, Task.FEATURE_EXTRACTION)),
    ("ForConditionalGeneration", (Task.SUMMARIZATION, Task.TRANSLATION)),
    ("MTModel", (Task.TRANSLATION, Task.SUMMARIZATION)),
    ("ForCausalLM", (Task.TEXT_GENERATION,)),
    ("LMHeadModel", (Task.TEXT_GENERATION,)),
    ("Model", (Task.FEATURE_EXTRACTION,)),
)


@dataclass(frozen=True, slots=True)
class ModelFiles:
    """A folder that may be loaded. `tasks` are what its head can do, likeliest first; `bytes` is its weights' size."""

    folder: Path
    config: Mapping[str, Any]
    tasks: tuple[str, ...]
    weights: tuple[Path, ...]
    bytes: int
    licence: str
    languages: tuple[str, ...]


def inspect(folder: Path, name: str) -> ModelFiles:
    """Judge a folder; `name` is the model's id for messages. Raises InklingError as the module says."""
    config = _read_json(folder / "config.json", name)
    if config is None:
        if (folder / "adapter_config.json").is_file():
            raise InklingError(
                "weights-missing",
                f"{name} is a PEFT adapter without its base model.",
                "Merge it into its base with peft's merge_and_unload() and save_pretrained(), and name that folder.",
            )
        raise InklingError(
            "weights-missing",
            f"{name} has no config.json{where(name, folder)}.",
            again(name),
        )
    for small in ("config.json", "tokenizer_config.json"):
        check_no_code(folder / small, name)
    weights = _find_weights(folder, name)
    licence, languages = _read_card(folder / "README.md")
    return ModelFiles(
        folder, config, tasks_of(config, folder), weights, sum(path.stat().st_size for path in weights), licence,
        languages,
    )  # fmt: skip


def check_no_code(path: str | Path, name: str) -> None:
    """Raises InklingError `remote-code` when a configuration file asks for Python files to be run."""
    if (_read_json(Path(path), name) or {}).get("auto_map"):
        raise InklingError(
            "remote-code",
            f"{name} needs Python code from its own repository, which Inkling never runs.",
            "Choose a model whose architecture transformers has built in.",
        )


def tasks_of(config: Mapping[str, Any], folder: Path) -> tuple[str, ...]:
    """The tasks that a model's head can do, from its architecture's name."""
    if config.get("model_type") == ADAPTER_TYPE:
        return (str(config.get("task", "")),)
    tasks: list[str] = []
    for architecture in config.get("architectures") or ():
        tasks += next((found for ending, found in _HEADS if str(architecture).endswith(ending)), ())
    labels = {str(label).lower() for label in (config.get("id2label") or {}).values()}
    if Task.TEXT_CLASSIFICATION in tasks and any(label.startswith("entail") for label in labels):
        tasks.append(Task.ZERO_SHOT_CLASSIFICATION)
    if Task.TEXT_GENERATION in tasks and has_chat_template(folder):
        tasks += [Task.SUMMARIZATION, Task.TRANSLATION]
    if tasks == [Task.FEATURE_EXTRACTION]:
        tasks += [Task.ZERO_SHOT_CLASSIFICATION, Task.SUMMARIZATION]  # by label embeddings; by key sentences
    return tuple(dict.fromkeys(str(task) for task in tasks))


def has_chat_template(folder: Path) -> bool:
    """Whether the tokenizer can render message lists."""
    if (folder / "chat_template.jinja").is_file():
        return True
    try:
        return '"chat_template"' in (folder / "tokenizer_config.json").read_text("utf-8")
    except (OSError, ValueError):
        return False


def _find_weights(folder: Path, name: str) -> tuple[Path, ...]:
    for single in ("model.safetensors", "adapter.safetensors"):
        if (folder / single).is_file():
            return (folder / single,)
    index = _read_json(folder / "model.safetensors.index.json", name)
    if index is not None:
        shards = sorted({str(shard) for shard in (index.get("weight_map") or {}).values()})
        if not shards or any(not re.fullmatch(r"[\w.-]+\.safetensors", shard) for shard in shards):
            raise InklingError(
                "weights-corrupt",
                f"{folder / 'model.safetensors.index.json'} does not list safetensors files of its own folder.",
                again(name),
            )
        missing = [shard for shard in shards if not (folder / shard).is_file()]
        if missing:
            raise InklingError(
                "weights-missing",
                f"{name} lacks {len(missing)} of its {len(shards)} weight files: {missing[0]}"
                f"{' and more' if len(missing) > 1 else ''}.",
                again(name),
            )
        return tuple(folder / shard for shard in shards)
    others = sorted(path.name for path in folder.iterdir() if path.suffix in PICKLES)
    if others:
        raise InklingError(
            "pickle-only",
            f"{name} comes as {others[0]} only, a format that can execute code when it is read.",
            "Choose a model or revision with safetensors, or convert it where you trust it: load it with transformers "
            "and call save_pretrained().",
        )
    gguf = any(path.suffix == ".gguf" for path in folder.iterdir())
    raise InklingError(
        "weights-missing",
        f"{name} has no model.safetensors{where(name, folder)}.",
        "It is a GGUF model: choose one with safetensors; many are published in that form too."
        if gguf
        else again(name),
    )


def _read_json(path: Path, name: str) -> Mapping[str, Any] | None:
    """A JSON object, or None when the file does not exist."""
    if not path.is_file():
        return None
    try:
        if path.stat().st_size > MAX_JSON_BYTES:
            raise ValueError("it is too large")
        value = json.loads(path.read_bytes())
    except (OSError, ValueError, RecursionError) as error:
        raise InklingError(
            "weights-corrupt", f"{_unless(name, path.parent)}{path} is not readable JSON.", again(name)
        ) from error
    if not isinstance(value, Mapping):
        raise InklingError("weights-corrupt", f"{_unless(name, path.parent)}{path} holds no JSON object.", again(name))
    return value


def _read_card(path: Path) -> tuple[str, tuple[str, ...]]:
    """Licence and languages from a model card's header; empty when it has none. Reads the two keys, not all of YAML."""
    try:
        with path.open(encoding="utf-8", errors="replace") as file:
            text = file.read(20_000)
    except OSError:
        return "", ()
    header = re.match(r"---\r?\n(.*?)\r?\n---", text, re.DOTALL)
    if header is None:
        return "", ()
    licence = re.search(r"^licen[sc]e:[ \t]*([^\s#]+)", header[1], re.MULTILINE)
    language = re.search(r"^languages?:[ \t]*(.*(?:\r?\n[ \t]*- .*)*)", header[1], re.MULTILINE)
    codes = re.findall(r"[A-Za-z]{2,}(?:-[A-Za-z]+)?", language[1]) if language else []
    return (licence[1].strip("\"'") if licence else ""), tuple(codes)


def again(name: str) -> str:
    """How the files of a model whose id is `name` are made whole: nothing is there to download for a folder."""
    if name.startswith("starter:"):
        return "Install Inkling anew."
    if parse_hub_id(name) is None:
        return "Write the folder anew with save_pretrained(), the model's and its tokenizer's, or name another."
    return (
        f"Run `inkling models pull {name}` to download what is missing (`--force`: all of it), or name another model."
    )


def where(name: str, folder: Path) -> str:
    """The folder, for a model whose id does not name it."""
    return "" if Path(name).expanduser().resolve() == folder.resolve() else f" in {folder}"


def _unless(name: str, folder: Path) -> str:
    return f"{name}: " if where(name, folder) else ""
