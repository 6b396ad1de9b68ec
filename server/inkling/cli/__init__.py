"""The `inkling` command: one file per subcommand, imported only when it is asked for.

Each subcommand's module has `add_parser(subparsers)` and `run(args) -> int` (the exit status).
"""

from __future__ import annotations

import argparse
import importlib
import sys
from collections.abc import Sequence

from inkling import __version__

COMMANDS = {
    "lsp": "run the language server, for an editor to start",
    "tour": "watch a real session: hover, diagnostics, actions, ghost text",
    "playground": "try it in the browser: a page of this machine alone",
    "check": "run rules on files: in a terminal, a commit hook, a CI job",
    "rules": "what rules there are, what they read where, and why some are off",
    "tokens": "count the tokens of files under a model's own tokenizer",
    "classify": "label each line of standard input",
    "summarize": "summarize standard input",
    "complete": "go on from standard input",
    "ask": "find where a text answers a question",
    "models": "list, check, compare and choose models",
    "engine": "the process that holds the models: status, stop, logs",
    "cluster": "the same engine on a pool of machines: up, status, config",
    "doctor": "what works here, what does not, and why",
    "train": "train a tokenizer, a language model or a classifier from a recipe",
    "bench": "completion quality on your own repository, load, capacity",
}

UNREAD = frozenset({"unreadable", "not-utf-8", "binary", "secret-file"})
"""Reasons why a file that was named was not read: status 2, as `inkling check` has it."""


def main(argv: Sequence[str] | None = None) -> int:
    """Run a subcommand; returns its exit status. Errors meant for the user go to stderr as one line."""
    arguments = list(sys.argv[1:] if argv is None else argv)
    parser = argparse.ArgumentParser(prog="inkling", description="Hugging Face models in any editor, on your machine.")
    parser.add_argument("--version", action="version", version=f"inkling {__version__}")
    subparsers = parser.add_subparsers(dest="command", metavar="COMMAND", required=True)
    chosen = next((word for word in arguments if not word.startswith("-")), None)
    if chosen not in COMMANDS:  # --help, --version or a typo: names and one-line helps are enough
        for name, summary in COMMANDS.items():
            subparsers.add_parser(name, help=summary)
        parser.parse_args(arguments)
        return 2
    module = importlib.import_module(f"inkling.cli.{chosen}")
    module.add_parser(subparsers)
    args = parser.parse_args(arguments)
    from inkling.errors import InklingError

    try:
        return int(module.run(args))
    except InklingError as error:
        print(f"inkling {chosen}: {error}", file=sys.stderr)
        return 2 if error.reason in UNREAD else 1
    except BrokenPipeError:  # the reader of our output left, as `head` does
        sys.stderr.close()
        return 0
    except KeyboardInterrupt:
        return 130
