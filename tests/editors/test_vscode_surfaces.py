"""Pictures of the surfaces of rules and models in VS Code, on examples/rules-workspace, with the models that ship.

This makes the pictures (`make pictures`): what the surfaces say is asserted by `tests/lsp/test_rules.py`,
`tests/lsp/test_model_surfaces.py`, `tests/lsp/test_translation.py` and the tests inside the extension host. The models
that do not ship, for words and for translation, are trained here.
"""

from __future__ import annotations

import json
import os
import shutil
import struct
from pathlib import Path
from typing import Any

import pytest

from .code_server import CLIENT, build, code_server, drive, need_code_server, server_settings
from .conftest import REPOSITORY

SAID = {
    "rule-marks": "a fault of a program",
    "rule-redact": "Redact all of secrets in this file",
    "rule-actions": "Shorten this",
    "rule-why": "moved the score by",
    "rule-code-lens": "This comment admits a debt",
    "rule-hover": "starter:injection",
    "mask-completion": "cold",
    "better-word": "warm",
    "chat-lens": "tokens",
    "chat-preview": "Where is my parcel?",
    "translation-preview": "Das Feuer ist heute sehr kalt.",
    "compare-tokenizers": "starter:code",
}
"""What each picture shows, among other words."""
FIRST = {
    "search-by-meaning": "app.py  app.py:1",
    "symbols-by-meaning": "?sum+the+lines+of+a+file 01 app.py",
    "find-similar": "The program crashes when the file is empty  notes.md:3",
}
"""What each list begins with: the file of numbers and their sum, and what a paragraph says again."""


@pytest.mark.timeout(600)
def test_pictures_of_surfaces(home: Path) -> None:
    if not (kept := os.environ.get("INKLING_PICTURES")):
        pytest.skip("makes pictures: run `make pictures`, or set INKLING_PICTURES to the folder that gets them")
    need_code_server()
    from tests.lsp.test_model_surfaces import masked_model
    from tests.lsp.test_translation import translation_model

    build("package")
    pictures = Path(kept).resolve()
    workspace = shutil.copytree(REPOSITORY / "examples" / "rules-workspace", home / "rules-workspace")
    (home / "model").mkdir()
    masked = str(masked_model(home / "model"))
    german = {"model": str(translation_model(home / "translation")), "target": "German"}
    look = {"editor.wordWrap": "on", "workbench.activityBar.location": "hidden"}
    models = {"better_word": {"least": 0.05}, "translate": german}
    settings = {**server_settings(home), **look, "inkling.settings": models}
    with code_server(home, workspace, settings, vsix=CLIENT / "inkling.vsix") as host:
        lines = drive("surfaces.mjs", home, host, str(workspace), str(pictures), masked, timeout_s=480).splitlines()
    seen: dict[str, Any] = {fields.pop("check"): fields for fields in map(json.loads, lines)}
    assert seen.pop("page-errors")["errors"] == []
    assert seen.keys() == SAID.keys() | FIRST.keys()
    for name, fields in seen.items():
        text = fields["text"]
        assert text.startswith(FIRST[name]) if name in FIRST else SAID[name] in text, (name, text)
        width, height = struct.unpack(">II", (pictures / f"{name}.png").read_bytes()[16:24])
        assert width >= 500 and height >= 200, name
