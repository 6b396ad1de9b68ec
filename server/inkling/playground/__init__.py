"""A page on this machine that shows every surface in a browser: `inkling playground`.

`app` serves the page and one WebSocket; `bridge` runs a language server behind each connection. The page itself is
built from `playground/` by `make playground`.
"""
