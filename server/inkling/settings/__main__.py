"""`python -m inkling.settings` prints the table of all settings, with `--schema` the JSON schema of inkling.toml.

With a file's name it writes the tables into that file: all settings between the lines `<!-- settings: begin -->` and
`<!-- settings: end -->`, the keys of a rule between `<!-- [[rule]]: begin -->` and its end. A file
`….json` becomes the schema. So docs/settings.md, docs/rules.md and docs/inkling.schema.json are kept.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path

from inkling.settings.schema import embed_all, installed_plugins, json_schema, markdown_table


def main(arguments: list[str]) -> None:
    """Print or write; raises ValueError for a file without the two lines."""
    plugins = installed_plugins()
    if arguments == ["--schema"]:
        sys.stdout.write(json.dumps(json_schema(plugins), indent=1) + "\n")
    elif not arguments:
        sys.stdout.write(markdown_table(plugins))
    for path in map(Path, arguments if arguments != ["--schema"] else []):
        if path.suffix == ".json":
            path.write_text(json.dumps(json_schema(plugins), indent=1) + "\n", encoding="utf-8")
            continue
        path.write_text(embed_all(path.read_text("utf-8"), plugins), encoding="utf-8")


if __name__ == "__main__":
    main(sys.argv[1:])
