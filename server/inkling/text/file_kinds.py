"""The language id of a file that no editor has opened, from its name."""

from __future__ import annotations

from pathlib import PurePath

_SUFFIXES = {
    "bash": "shellscript", "bat": "bat", "c": "c", "cc": "cpp", "cjs": "javascript", "clj": "clojure", "cpp": "cpp",
    "cs": "csharp", "css": "css", "cxx": "cpp", "dart": "dart", "diff": "diff", "ex": "elixir", "exs": "elixir",
    "erl": "erlang", "fs": "fsharp", "go": "go", "h": "c", "hpp": "cpp", "hs": "haskell", "htm": "html", "html": "html",
    "ini": "ini", "ipynb": "json", "java": "java", "jl": "julia", "js": "javascript", "json": "json", "jsonc": "jsonc",
    "jsonl": "jsonl", "jsx": "javascriptreact", "kt": "kotlin", "less": "less", "lua": "lua", "m": "objective-c",
    "markdown": "markdown", "md": "markdown", "mjs": "javascript", "ml": "ocaml", "nim": "nim", "org": "org",
    "php": "php", "pl": "perl", "prompt": "prompt", "proto": "proto", "ps1": "powershell", "py": "python",
    "pyi": "python", "r": "r", "rb": "ruby", "rs": "rust", "rst": "restructuredtext", "sass": "sass", "scala": "scala",
    "scss": "scss", "sh": "shellscript", "sql": "sql", "swift": "swift", "tex": "latex", "toml": "toml",
    "ts": "typescript", "tsx": "typescriptreact", "txt": "plaintext", "vb": "vb", "vim": "vim", "vue": "vue",
    "xml": "xml", "yaml": "yaml", "yml": "yaml", "zig": "zig", "zsh": "shellscript",
}  # fmt: skip
_NAMES = {"dockerfile": "dockerfile", "makefile": "makefile", "gnumakefile": "makefile", "commit_editmsg": "git-commit"}


def language_of(path: str | PurePath) -> str:
    """The id that editors commonly give such a file; `plaintext` for what is not known."""
    name = PurePath(path).name.lower()
    return _NAMES.get(name) or _SUFFIXES.get(name.rpartition(".")[2], "plaintext")
