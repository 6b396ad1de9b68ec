"""Chat templates, for models and for people to look at: a template is code, so it runs in a process of its own.

* `files`    a model's template and the special tokens that it may use, read from its folder;
* `child`    the process: Jinja's sandbox, limits on time and memory, one conversation per line;
* `process`  the engine's end of it: started on first need, killed when it is late, started anew.
"""
