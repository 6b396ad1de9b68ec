"""Texts that we show in read-only documents of their own (`workspace/textDocumentContent`), the last few of them."""

from __future__ import annotations

import re
from collections import OrderedDict
from urllib.parse import quote

from inkling.lsp.greeting import TEXT_SCHEME
from inkling.text.uri import uri_path

KEPT = 20
SUFFIXES = {"json": ".json", "markdown": ".md", "plaintext": ".txt", "python": ".py", "toml": ".toml", "yaml": ".yaml"}


def file_name(title: str, language: str) -> str:
    """A name for a text, by which an editor knows its language."""
    name = re.sub(r"[^\w.-]+", "-", title).strip("-.")[:60] or "inkling"
    return name + SUFFIXES.get(language, ".txt")


class Texts:
    """A text of a title that was shown before takes that one's place."""

    def __init__(self) -> None:
        self._texts: OrderedDict[str, str] = OrderedDict()

    def put(self, title: str, text: str, language: str) -> tuple[str, bool]:
        """(The URI of the text, whether a document of that URI may be open already)."""
        name = file_name(title, language)
        known = name in self._texts
        self._texts[name] = text
        self._texts.move_to_end(name)
        while len(self._texts) > KEPT:
            self._texts.popitem(last=False)
        return f"{TEXT_SCHEME}:/{quote(name)}", known

    def get(self, uri: str) -> str | None:
        """The text, as long as it is kept."""
        return self._texts.get(uri_path(uri))
