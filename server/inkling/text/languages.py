"""What Inkling knows of each language id: its grammar, its comment markers and string quotes."""

from __future__ import annotations

import re
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Grammar:
    """A tree-sitter grammar: the module and function that give it, and the node types worth knowing."""

    module: str
    factory: str = "language"
    comments: tuple[str, ...] = ("comment",)
    strings: tuple[str, ...] = ("string",)
    functions: tuple[str, ...] = ()
    classes: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Syntax:
    """The lexical surface of a language: enough to tell comments and strings from code without a grammar.

    `strings` are the quotes that open a string: tripled ones and backquotes span lines, others end with their line.
    """

    line: tuple[str, ...] = ()
    block: tuple[tuple[str, str], ...] = ()
    strings: tuple[str, ...] = ('"', "'")


_ECMA_FUNCTIONS = (
    "function_declaration",
    "generator_function_declaration",
    "function_expression",
    "arrow_function",
    "method_definition",
)
_ECMA_STRINGS = ("string", "template_string")
_C_CLASSES = ("struct_specifier", "union_specifier", "enum_specifier")
_SHELL = Grammar(
    "tree_sitter_bash",
    strings=("string", "raw_string", "ansi_c_string", "heredoc_body"),
    functions=("function_definition",),
)
_JAVASCRIPT = Grammar(
    "tree_sitter_javascript", strings=_ECMA_STRINGS, functions=_ECMA_FUNCTIONS, classes=("class_declaration",)
)
_TS_CLASSES = ("class_declaration", "abstract_class_declaration", "interface_declaration")

GRAMMARS: dict[str, Grammar] = {
    "c": Grammar("tree_sitter_c", strings=("string_literal",), functions=("function_definition",), classes=_C_CLASSES),
    "cpp": Grammar(
        "tree_sitter_cpp",
        strings=("string_literal", "raw_string_literal"),
        functions=("function_definition",),
        classes=("class_specifier", *_C_CLASSES),
    ),
    "go": Grammar(
        "tree_sitter_go",
        strings=("interpreted_string_literal", "raw_string_literal"),
        functions=("function_declaration", "method_declaration", "func_literal"),
        classes=("type_declaration",),
    ),
    "java": Grammar(
        "tree_sitter_java",
        comments=("line_comment", "block_comment"),
        strings=("string_literal",),
        functions=("method_declaration", "constructor_declaration"),
        classes=("class_declaration", "interface_declaration", "enum_declaration", "record_declaration"),
    ),
    "javascript": _JAVASCRIPT,
    "javascriptreact": _JAVASCRIPT,
    "python": Grammar("tree_sitter_python", functions=("function_definition",), classes=("class_definition",)),
    "ruby": Grammar(
        "tree_sitter_ruby",
        strings=("string", "heredoc_body"),
        functions=("method", "singleton_method"),
        classes=("class", "module"),
    ),
    "rust": Grammar(
        "tree_sitter_rust",
        comments=("line_comment", "block_comment"),
        strings=("string_literal", "raw_string_literal"),
        functions=("function_item",),
        classes=("impl_item", "trait_item", "struct_item", "enum_item"),
    ),
    "shellscript": _SHELL,
    "sh": _SHELL,
    "bash": _SHELL,
    "typescript": Grammar(
        "tree_sitter_typescript",
        "language_typescript",
        strings=_ECMA_STRINGS,
        functions=_ECMA_FUNCTIONS,
        classes=_TS_CLASSES,
    ),
    "typescriptreact": Grammar(
        "tree_sitter_typescript",
        "language_tsx",
        strings=_ECMA_STRINGS,
        functions=_ECMA_FUNCTIONS,
        classes=_TS_CLASSES,
    ),
}

_SLASHES = Syntax(("//",), (("/*", "*/"),))
_TEMPLATES = Syntax(("//",), (("/*", "*/"),), ('"', "'", "`"))
_HASHES = Syntax(("#",))
_DASHES = Syntax(("--",), (("/*", "*/"),))
_SEMICOLONS = Syntax((";",), (), ('"',))
_PERCENT = Syntax(("%",), (), ())
_TAGS = Syntax((), (("<!--", "-->"),), ())
_PYTHON = Syntax(("#",), (), ('"""', "'''", '"', "'"))

SYNTAXES: dict[str, Syntax] = {
    **dict.fromkeys(
        ("c", "cpp", "csharp", "cuda-cpp", "dart", "groovy", "java", "kotlin", "objective-c", "objective-cpp", "php",
         "proto", "scala", "scss", "less", "swift", "zig", "jsonc", "glsl", "hlsl"), _SLASHES),
    **dict.fromkeys(("go", "javascript", "javascriptreact", "typescript", "typescriptreact", "vue", "svelte"),
                    _TEMPLATES),
    **dict.fromkeys(
        ("cmake", "coffeescript", "dockerfile", "elixir", "ini", "julia", "makefile", "nix", "perl", "properties", "r",
         "ruby", "sh", "shellscript", "bash", "toml", "yaml", "tcl", "gdscript", "graphql"), _HASHES),
    **dict.fromkeys(("python", "mojo", "starlark"), _PYTHON),
    **dict.fromkeys(("clojure", "lisp", "emacs-lisp", "scheme", "racket", "asm"), _SEMICOLONS),
    **dict.fromkeys(("erlang", "matlab", "prolog"), _PERCENT),
    **dict.fromkeys(("html", "xml", "svg", "xsl"), _TAGS),
    "rust": Syntax(("//",), (("/*", "*/"),), ('"',)),
    "css": Syntax((), (("/*", "*/"),)),
    "sql": _DASHES,
    "lua": Syntax(("--",), (("--[[", "]]"),)),
    "haskell": Syntax(("--",), (("{-", "-}"),), ('"',)),
    "elm": Syntax(("--",), (("{-", "-}"),), ('"',)),
    "ocaml": Syntax((), (("(*", "*)"),), ('"',)),
    "fsharp": Syntax(("//",), (("(*", "*)"),), ('"',)),
    "pascal": Syntax(("//",), (("{", "}"), ("(*", "*)")), ("'",)),
    "ada": Syntax(("--",), (), ('"',)),
    "fortran": Syntax(("!",), (), ('"', "'")),
    "vb": Syntax(("'",), (), ('"',)),
    "vim": Syntax(('"',), (), ()),
}  # fmt: skip

MARKDOWN = frozenset({"markdown", "mdx", "quarto", "rmd"})
COMMIT = frozenset({"git-commit", "gitcommit"})


def lexer(syntax: Syntax) -> re.Pattern[str]:
    """A pattern that finds comments (group `comment`) and strings (group `string`), unterminated ones included."""
    blocks = [re.escape(start) + r"(?:[\s\S]*?" + re.escape(end) + r"|[\s\S]*\Z)" for start, end in syntax.block]
    # a hash inside a word (`$#`, `a#b`) opens no comment
    lines = [(r"(?<!\S)" if mark == "#" else "") + re.escape(mark) + r"[^\r\n]*" for mark in syntax.line]
    comment = "|".join(blocks + lines)
    string = "|".join(_string(quote) for quote in syntax.strings)
    return re.compile(f"(?P<comment>{comment or '(?!)'})|(?P<string>{string or '(?!)'})")


def _string(quote: str) -> str:
    mark = re.escape(quote)
    inner = r"[\s\S]" if len(quote) == 3 or quote == "`" else r"[^\r\n]"
    return rf"{mark}(?:\\{inner}|(?!{mark}|\\){inner})*(?:{mark}|\\?)"
