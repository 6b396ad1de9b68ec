"""Short pauses: what was loaded at the start is not garbage, and need not be looked at again and again."""

from __future__ import annotations

import asyncio
import gc

AGAIN_S = (2.0, 15.0)
"""Seconds after which plugins, tokenizers and grammars are there, too."""
THRESHOLDS = (5_000, 20, 50)
"""Of the three generations; Python's own are 700, 10, 10, made for short programs."""


def shorten_pauses() -> None:
    """Take what is in memory out of the garbage collector's rounds, now and when the plugins have been loaded.

    A whole round over LSP's types and the plugins is 30 ms, in which no keystroke is answered; over what a session
    itself makes it is less than one.
    """
    gc.set_threshold(*THRESHOLDS)
    gc.freeze()
    loop = asyncio.get_running_loop()
    for seconds in AGAIN_S:
        loop.call_later(seconds, gc.freeze)
