"""Text: positions, the document mirror, snapshots, segments, token counts. Imports no LSP and no model code.

Bottom up:

* `tree`, `rope`: an immutable text with edits in O(log n); `position`, `encoding`: places in it, ours and a client's;
* `document`: the mirror of what a client has open; `snapshot`: one version of it, all that the rest of Inkling sees;
* `segment`: a span and its clean text; `code`, `markdown`, `commit` find segments, `clean` and `sentence` make their
  texts, `segments` is the way in, `block` and `syntax` answer about the cursor without segmenting the document;
* `uri`: the parts of a document's name;
* `languages`, `grammar`: what is known of each language, and its syntax trees, re-parsed where the text changed;
* `pretokenizers`, `boundaries`: where a text may be cut without changing its tokens; `counting`: exact counts that
  follow edits; `tokens`: the service that plugins count with.
"""
