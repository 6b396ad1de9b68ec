"""Rules: any task of any model on any surface, by a table `[[rule]]` of the user's.

* `rule`     what a table may say, and what is wrong with it beyond types;
* `on`       which text a rule reads; `units` cuts a document into what the model reads at once;
* `message`  message templates;
* `judge`    from what the model said of a unit to findings;
* `store`    what models said, by hash, in memory and on disk; `reader` asks for what is missing, nearest first;
  `news` says when to show more of it;
* `linter`   all of that for one document: what is found, what is still being read, why nothing is;
* `present`  findings as diagnostics, lenses, hints, tokens; `fixes` their quick fixes;
* `runs`     rules carried out on demand; `why`, `feedback`, `baseline` what a linter needs besides;
* `plugin`   the plugin.
"""
