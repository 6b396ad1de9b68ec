"""The edge: what an editor sends, and what it gets back. The only room, with `cli`, that knows LSP types.

A reader's way through this package, in the order in which a message travels:

* `transport`  bytes in and out, over stdio or TCP; `wire` cuts them into messages and recovers from junk;
* `protocol`   JSON-RPC: states, errors, one reply per id, cancellation;
* `session`    all that belongs to one connection; `documents` its exact text, `configuration` its settings;
* `features/`  one file per LSP method: captures a snapshot, asks the plugins, merges;
* `dispatch`   calls the plugins: timeouts, isolation, reasons; `checks` tests what they give, `convert` translates;
* `refresh`    has the client ask anew; `workspace` reads files that are not open; `texts` are read-only documents;
* `editor`, `handles`, `progress`  what plugins are given: the editor, the engine, token counts;
* `log`        what is written down: names and numbers, never text.
"""
