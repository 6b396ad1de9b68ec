"""How each language writes comments, under the language ids that editors send."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class CommentSyntax:
    """A line marker such as `#`, or else a pair of block markers such as `/*` and `*/`; at least one is set."""

    line: str = ""
    block: tuple[str, str] | None = None

    def one_line(self, text: str) -> str:
        """`text` (one line) as a comment of its own or at the end of a line of code."""
        if self.line:
            return f"{self.line} {text}".rstrip()
        assert self.block is not None
        return f"{self.block[0]} {text} {self.block[1]}"

    def lines(self, text: str) -> list[str]:
        """`text` as comment lines, without indentation or line ends."""
        if self.line or not text.strip():
            return [f"{self.line} {line}".rstrip() for line in text.splitlines()]
        assert self.block is not None
        first, last = self.block
        rows = text.splitlines()
        return [f"{first} {rows[0]} {last}"] if len(rows) == 1 else [first, *rows, last]

    def opens(self, line: str) -> bool:
        """True when a stripped `line` of code is a comment."""
        markers = tuple(marker for marker in (self.line, self.block[0] if self.block else "") if marker)
        return line.startswith(markers)


_HASH = CommentSyntax("#")
_SLASHES = CommentSyntax("//", ("/*", "*/"))
_DASHES = CommentSyntax("--")
_MARKUP = CommentSyntax(block=("<!--", "-->"))
_STARS = CommentSyntax(block=("/*", "*/"))

_GROUPS: tuple[tuple[CommentSyntax, str], ...] = (
    (
        _HASH,
        "python ruby shellscript bash sh zsh fish yaml toml makefile dockerfile dockercompose perl perl6 r elixir "
        "powershell julia nix cmake gitcommit git-commit git-rebase gitignore ignore properties coffeescript starlark "
        "bazel graphql terraform hcl nim crystal tcl awk sed conf prompt",
    ),
    (
        _SLASHES,
        "javascript javascriptreact typescript typescriptreact c cpp objective-c objective-cpp cuda-cpp java go rust "
        "swift kotlin scala php csharp fsharp dart zig groovy jsonc json5 less scss sass proto proto3 solidity v glsl "
        "hlsl wgsl verilog systemverilog vala odin",
    ),
    (_DASHES, "lua sql haskell ada vhdl elm purescript"),
    (_MARKUP, "html xml markdown mdx vue svelte xsl svg"),
    (_STARS, "css"),
    (CommentSyntax(";;"), "clojure lisp commonlisp scheme racket elisp emacs-lisp"),
    (CommentSyntax(";"), "ini asm"),
    (CommentSyntax("%"), "latex tex matlab erlang prolog bibtex"),
    (CommentSyntax('"'), "vim viml"),
    (CommentSyntax("!"), "fortran"),
    (CommentSyntax(".."), "restructuredtext rst"),
    (CommentSyntax(block=("(*", "*)")), "ocaml"),
)

_BY_LANGUAGE = {language: syntax for syntax, languages in _GROUPS for language in languages.split()}


def comment_syntax(language: str) -> CommentSyntax | None:
    """The comment syntax of a language id, or None where it has no comments (`plaintext`, `json`) or is unknown."""
    return _BY_LANGUAGE.get(language)


def known_languages() -> frozenset[str]:
    """The language ids that editors are known to send, those without comments among them."""
    return frozenset(_BY_LANGUAGE) | _WITHOUT_COMMENTS


_WITHOUT_COMMENTS = frozenset(
    {"plaintext", "text", "json", "jsonl", "csv", "tsv", "log", "diff", "org", "bat", "quarto"}
)
