"""Plugins' diagnostics without an editor: `inkling check`.

* `session`   the plugins, the settings and the engine of a folder, asked about one file after the other;
* `editor`    what stands in for the editor there;
* `files`     which files the arguments mean;
* `clean`     which files are known to have nothing in them;
* `finding`   a diagnostic with its file;
* `formats`   text, JSON and GitHub's annotations; `sarif` SARIF 2.1.0;
* `fix`       preferred fixes carried out; `baseline` the file of findings that are known.
"""
