"""The pure parts of completion: no part here knows the editor, and only `ghost_cache` knows the event loop."""
