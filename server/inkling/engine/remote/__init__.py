"""Engines elsewhere: a GPU pool, a server of a third party, the same engine on another machine.

A reader's way through this package:

* `settings`  `[engine.remotes.NAME]`, and what is wrong with such a table;
* `address`   which URL text may go to;
* `token`     where the token comes from, and keeping it out of words;
* `transport` certificates, proxy, time-outs, one retry, bounds on what comes back;
* `failures`  what went wrong there, in words for the user;
* `patience`  not asking again too soon;
* `fim`       fill-in-the-middle prompts without the remote's tokenizer;
* `openai`, `tei`, `hf_inference`, `inkling`: an `Engine` per wire format; `base` is what they share;
* `detect`    which of them a server speaks;
* `router`    the `EngineConnection` that sends each task where `[engine.routes]` says;
* `where`     where text goes, in one line.
"""
