"""Settings: layers of TOML and client JSON, typed by frozen dataclasses, never fatal.

A reader's way through this package:

* `problem`  what is said about a bad key: once, with its file, line and the nearest valid name;
* `build`    a mapping into a typed dataclass, each bad value replaced by its default;
* `source`   one place that settings came from;
* `layers`   defaults < user < workspace < client, and which layer gave each key;
* `named`    lists of named tables, such as `[[rule]]`, whose items merge by name;
* `trust`    what an untrusted workspace may not decide;
* `files`    where the files are, reading them, changing one key with its comments kept;
* `server`   the server's own table;
* `schema`   the JSON schema and the table of all settings, from the dataclasses' own `doc` metadata.
"""

from inkling.settings.build import build
from inkling.settings.files import change_file, change_setting, read_source, user_file, workspace_files
from inkling.settings.layers import Loaded, load, load_for
from inkling.settings.problem import Problem
from inkling.settings.schema import embed_table, installed_plugins, json_schema, markdown_table
from inkling.settings.server import ServerSettings, Timeouts
from inkling.settings.source import Source

__all__ = [
    "Loaded",
    "Problem",
    "ServerSettings",
    "Source",
    "Timeouts",
    "build",
    "change_file",
    "change_setting",
    "embed_table",
    "installed_plugins",
    "json_schema",
    "load",
    "load_for",
    "markdown_table",
    "read_source",
    "user_file",
    "workspace_files",
]
