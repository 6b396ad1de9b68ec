"""Find candidate files: the running Python's standard library, installed packages, or any folder of text."""

from __future__ import annotations

import importlib.metadata
import platform
import re
import sysconfig
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from inkling.training.corpus.licences import is_permissive, licence_of
from inkling.training.errors import TrainingError


class CorpusError(TrainingError):
    """A corpus that is empty, unreadable or not text."""


@dataclass(frozen=True)
class Package:
    """One body of text with one licence: a distribution, the standard library, or a folder."""

    name: str
    version: str
    licence: str
    files: tuple[tuple[str, Path], ...]  # (path shown, path on disk)


# parts of a path that mark tests, vendored copies, samples and tables rather than a project's own source
_SKIPPED_PARTS = re.compile(
    r"^(tests?|testing|_tests?|idle_test|conftest\.py|test_.*|.*_tests?\.py|_?vendor(ed)?|_?vendored_packages"
    r"|third_party|extern(al)?|_externals?|benchmarks?|generated|_generated|site-packages|lib2to3|idlelib"
    r"|turtledemo|pydoc_data|dummy_.*|lib-dynload|__pycache__|_sysconfigdata.*|_?version\.py|config-3.*)$"
)
_GENERATED = re.compile(
    r"(?i)(auto-?(matically)?[ -]?generated|do not (edit|modify)|generated (by|from|with)|@generated)"
)


def standard_library() -> Package:
    """The running interpreter's own Python sources (PSF licence)."""
    root = Path(sysconfig.get_paths()["stdlib"])
    files = tuple((str(p.relative_to(root)), p) for p in sorted(root.rglob("*.py")) if _wanted(p.relative_to(root)))
    return Package("python-stdlib", platform.python_version(), "PSF-2.0", files)


def installed(names: Sequence[str] = ()) -> tuple[list[Package], dict[str, str]]:
    """Installed distributions (all, or those named), and for each refused one why.

    Raises CorpusError when a named distribution is not installed.
    """
    found = {d.name.lower(): d for d in importlib.metadata.distributions() if d.name}
    missing = sorted(name for name in names if name.lower() not in found)
    if missing:
        raise CorpusError(f"not installed: {', '.join(missing)}. Install them, or take them off the recipe.")
    packages, refused = [], {}
    for name in sorted({n.lower() for n in names} or found):
        dist = found[name]
        licence = licence_of(dist.metadata)
        if not is_permissive(licence):
            refused[dist.name] = f"licence {licence or 'not stated'}"
            continue
        files = tuple(
            (str(file), Path(str(file.locate())))
            for file in sorted(dist.files or [], key=str)
            if file.suffix == ".py" and ".." not in file.parts and _wanted(Path(str(file)))
        )
        if files:
            packages.append(Package(dist.name, dist.version, licence, files))
    return packages, refused


def folder(path: Path, patterns: Sequence[str]) -> Package:
    """Every file under ``path`` that matches one of the glob ``patterns``. Raises CorpusError when none does."""
    if not path.is_dir():
        raise CorpusError(f"{path}: no such folder. A corpus is a folder of text files.")
    files = sorted({file for pattern in patterns for file in path.rglob(pattern) if file.is_file()})
    if not files:
        raise CorpusError(f"{path}: no file matches {', '.join(patterns)}. Check the folder and the patterns.")
    return Package(path.name, "", "as given", tuple((str(f.relative_to(path)), f) for f in files))


def read_text(path: Path) -> str:
    """The file as text, line ends as ``\\n``. Raises CorpusError when it is not UTF-8 text."""
    raw = path.read_bytes()
    if b"\0" in raw:
        raise CorpusError(f"{path}: not a text file (it holds a zero byte). Leave it out of the corpus.")
    try:
        text = raw.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise CorpusError(
            f"{path}: not UTF-8 text (byte {error.start}). Convert it, or leave it out of the corpus."
        ) from None
    return text.replace("\r\n", "\n").replace("\r", "\n")


def why_unfit(text: str) -> str | None:
    """Why a source file is not worth learning from: generated, a table of data, or too small. None if it is."""
    if len(text) < 200:
        return "too small"
    if _GENERATED.search(text[:1500]):
        return "generated"
    lines = text.split("\n")
    if max(map(len, lines)) > 1000 or len(text) / len(lines) > 100:
        return "data"
    letters = sum(map(str.isalpha, text[:: max(1, len(text) // 2000)]))
    return "data" if letters / min(len(text), 2000) < 0.25 else None


def _wanted(path: Path) -> bool:
    return not any(_SKIPPED_PARTS.match(part) for part in path.parts)


def text_of(package: Package) -> Iterator[tuple[str, str]]:
    """(path, text) of each readable file of an installed package; files in other encodings are passed over."""
    for shown, path in package.files:
        try:
            yield shown, read_text(path)
        except (CorpusError, OSError):
            continue
