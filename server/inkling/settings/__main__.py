"""`python -m inkling.settings` prints the table of all settings; with `--schema`, the JSON schema of inkling.toml."""

from __future__ import annotations

import json
import sys

from inkling.settings.schema import installed_plugins, json_schema, markdown_table

plugins = installed_plugins()
text = json.dumps(json_schema(plugins), indent=1) + "\n" if "--schema" in sys.argv[1:] else markdown_table(plugins)
sys.stdout.write(text)
