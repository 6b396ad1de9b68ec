"""`inkling models …`: which models are here, what they are, whether they are whole, and which one does what.

`list`, `show`, `verify` and `use` are in this file; `recommend` and `pull` in `models_hub`; `bench` and `quantize` in
`models_bench`.
"""

from __future__ import annotations

import argparse
import json
import textwrap
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from inkling.cli.model_name import model_name
from inkling.cli.models_common import USED_BY, print_table, size
from inkling.engine.models import catalog
from inkling.engine.models.catalog import Entry, ModelSource
from inkling.engine.protocol import Task
from inkling.errors import InklingError


def add_parser(subparsers: Any) -> None:
    """Describe the arguments."""
    from inkling.cli import models_bench, models_hub

    parser: argparse.ArgumentParser = subparsers.add_parser("models", help="list, check, compare and choose models")
    actions = parser.add_subparsers(dest="action", metavar="ACTION", required=True)

    def action(name: str, summary: str) -> argparse.ArgumentParser:
        made: argparse.ArgumentParser = actions.add_parser(name, help=summary, description=summary)
        made.add_argument("--json", action="store_true", help="for programs")
        return made

    listing = action("list", "the models on this machine: starters and the hub's cache")
    listing.add_argument("--task", choices=[str(task) for task in Task], help="only those that can do this")
    action("show", "all that the files of a model say").add_argument("model", metavar="ID", type=model_name)
    checking = action("verify", "read the weights and compare them with the published hashes")
    checking.add_argument("models", nargs="*", metavar="ID", type=model_name, help="default: the starters")
    using = action("use", "let the bundled features use a model, by your own settings")
    using.add_argument("task", metavar="TASK", help="a task, or a setting's key such as classify.model")
    using.add_argument("model", metavar="ID", type=model_name)
    using.add_argument("--workspace", action="store_true", help="write to ./inkling.toml instead of your own settings")
    action("seal", "for maintainers: write the starters' hashes into their catalog")
    models_hub.add_actions(action)
    models_bench.add_actions(action)


def run(args: argparse.Namespace) -> int:
    """Run the action; 1 when something that was asked about is not right."""
    from inkling.cli import models_bench, models_hub

    actions = {
        "list": _list,
        "show": _show,
        "verify": _verify,
        "use": _use,
        "seal": _seal,
        "recommend": models_hub.run_recommend,
        "pull": models_hub.run_pull,
        "bench": models_bench.run_bench,
        "quantize": models_bench.run_quantize,
    }
    return actions[args.action](args)


def _list(args: argparse.Namespace) -> int:
    entries = [*catalog.list_starters(), *catalog.list_cached()]
    if args.task:
        entries = [entry for entry in entries if entry.source and args.task in entry.source.tasks]
    if args.json:
        print(json.dumps([_facts(entry) for entry in entries], indent=1))
        return 0
    if not entries:
        print("No models" + (f" for {args.task}" if args.task else "") + " here. See `inkling models recommend`.")
        return 0
    rows = []
    for entry in entries:
        if entry.source is None:
            rows.append((entry.id, "cannot be used", "", entry.error.message if entry.error else ""))
        else:
            source = entry.source
            what = textwrap.shorten(source.description or ", ".join(source.tasks[1:]), 70, placeholder=" …")
            rows.append((source.id, source.task or "unknown task", size(source.bytes), f"{source.licence:<12} {what}"))
    print_table(("model", "task", "size", "licence and more"), rows)
    return 0


def _facts(entry: Entry) -> dict[str, Any]:
    if entry.source is None:
        error = entry.error
        return {"id": entry.id, "usable": False, "reason": error.reason if error else "", "error": str(error)}
    source = entry.source
    return {
        "id": source.id,
        "usable": True,
        "origin": source.origin,
        "task": str(source.task),
        "tasks": [str(task) for task in source.tasks],
        "bytes": source.bytes,
        "licence": source.licence,
        "languages": list(source.languages),
        "description": source.description,
        "path": str(source.path),
    }


def _show(args: argparse.Namespace) -> int:
    source = catalog.resolve(args.model, root=Path.cwd())
    facts = {**_facts(Entry(source.id, source)), **_inside(source)}
    if args.json:
        print(json.dumps(facts, indent=1))
        return 0
    facts["bytes"] = size(source.bytes)
    count = facts["parameters"]
    facts["parameters"] = f"{count / 1e6:,.1f} M" if count >= 1e6 else f"{count:,}"
    if Task.TEXT_GENERATION not in source.tasks:
        del facts["chat_template"]  # a template is for models that write
    for name, value in facts.items():
        if value not in ("", None, [], {}) and name != "usable":
            shown = ", ".join(f"{key} {count}" for key, count in value.items()) if isinstance(value, dict) else value
            shown = ", ".join(map(str, shown)) if isinstance(shown, list) else shown
            print(f"{name.replace('_', ' '):<16} {shown}")
    return 0


def _inside(source: ModelSource) -> dict[str, Any]:
    """What the headers and small files say."""
    from inkling.engine.models.model_files import has_chat_template
    from inkling.engine.models.safetensors_file import read_header

    tensors = [tensor for path in source.weights for tensor in read_header(path).values()]
    kinds: Counter[str] = Counter()
    for tensor in tensors:
        kinds[tensor.dtype] += tensor.parameters
    window = source.config.get("max_position_embeddings") or source.config.get("n_positions")
    labels = source.config.get("id2label") or {}
    return {
        "architecture": ", ".join(source.config.get("architectures") or [str(source.config.get("model_type", ""))]),
        "parameters": sum(kinds.values()),
        "stored_as": dict(kinds),
        "context_window": window if isinstance(window, int) else None,
        "chat_template": has_chat_template(source.path),
        "labels": [str(label) for label in labels.values()][:50],
        "weight_files": [path.name for path in source.weights],
    }


def _verify(args: argparse.Namespace) -> int:
    names: Sequence[str] = args.models or catalog.starter_ids()
    results = [_verified(name) for name in names]
    if args.json:
        print(json.dumps(results, indent=1))
    else:
        for result in results:
            print(f"{'ok ' if result['ok'] else 'BAD'} {result['id']}  {result['detail']}")
    return int(not all(result["ok"] for result in results))


def _verified(name: str) -> dict[str, Any]:
    try:
        source = catalog.verify(name, root=Path.cwd())
    except InklingError as error:
        return {"id": name, "ok": False, "reason": error.reason, "detail": str(error)}
    known = catalog.known_hashes(source)
    how = f"sha256 of {len(known)} files" if known else "headers only: no published hash is known"
    return {"id": name, "ok": True, "reason": "", "detail": f"{size(source.bytes)}, {how}"}


def _use(args: argparse.Namespace) -> int:
    from inkling.settings import change_file, user_file
    from inkling.settings.files import WORKSPACE_FILE

    key, task = _key_and_task(args.task)
    source = catalog.resolve_for(args.model, task) if task else catalog.resolve(args.model)
    path = Path.cwd() / WORKSPACE_FILE if args.workspace else user_file()
    written = change_file(path, key, source.id)
    if args.json:
        print(json.dumps({"key": key, "model": source.id, "file": str(written)}))
    else:
        print(f"{key} = {source.id}\nwritten to {written}")
    return 0


def _seal(args: argparse.Namespace) -> int:
    from inkling.engine.models.seal import seal

    facts = seal(catalog.STARTER_FOLDER)
    print(json.dumps(facts, indent=1) if args.json else f"{len(facts)} starters in {catalog.STARTER_FOLDER}")
    return 0


def _key_and_task(word: str) -> tuple[str, str]:
    """(the setting, the task that its model must do or "") for a task's or a setting's name."""
    if "." in word:
        tasks = {key: str(task) for task, key in USED_BY.items()}
        return word, tasks.get(word, "")
    if word in USED_BY:
        return USED_BY[Task(word)], word
    plugins = {key.partition(".")[0]: (key, str(task)) for task, key in USED_BY.items()}
    if word in plugins:
        return plugins[word]
    if word in list(Task):
        raise InklingError(
            "bad-task",
            f"No bundled feature does {word} by itself.",
            "Name the model where your rule or plugin takes it, or give that setting's key, such as search.model.",
        )
    raise InklingError(
        "bad-task", f'"{word[:60]}" is neither a task nor a setting.', f"Tasks with a feature: {', '.join(USED_BY)}."
    )
