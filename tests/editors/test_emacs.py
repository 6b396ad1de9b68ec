"""Emacs in batch mode with Eglot and examples/editors/emacs/inkling.el: Eglot's own functions do the asking."""

from __future__ import annotations

import json
import subprocess
import tomllib
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pytest

from .conftest import REPOSITORY, SCRIPTED, environment, need

WORDS = ("orders.sort();", "\nlet", "\tlast=orders.pop();", "\nprinter.feed(3);", "\nshelf.close();")
GHOST = "".join(WORDS)
MODEL = f"fake?token_s=0.1&text={quote(' '.join(WORDS))}"
PROSE = "This is a bad way to begin a note.\n\nThe rest of it is quite all right and says so.\n"
SETTINGS = (
    f'(:complete (:model "{MODEL}" :multi_line "always" :copy :json-false :debounce_min_ms 0 :debounce_max_ms 0)'
    ' :classify (:model "fake" :severities (:good "off")) :summarize (:model "fake") :better_word (:model "fake"))'
)

PREPARE = r""";;; -*- lexical-binding: t; -*-
(dolist (folder (file-expand-wildcards "/usr/share/emacs/site-lisp/elpa/*")) (add-to-list 'load-path folder))
(load (getenv "INKLING_EL") nil t)
(setq last-nonmenu-event ?a eglot-sync-connect 60 eglot-autoreconnect nil
      eglot-confirm-server-initiated-edits nil make-backup-files nil create-lockfiles nil
      inkling-settings 'SETTINGS)
(defvar results nil)
(defun note (key value) (push (cons key value) results))
(defun until (what probe)
  (let ((end (+ (float-time) 60)) value last)
    (while (not (setq value (condition-case problem (funcall probe) (error (setq last problem) nil))))
      (when (> (float-time) end) (error "never: %s (last: %S)" what last))
      (accept-process-output nil 0.05))
    value))
(defun edit (name text)
  (switch-to-buffer (find-file-noselect (expand-file-name name (getenv "HOME"))))
  (text-mode)
  (erase-buffer)
  (insert text)
  (unless (eglot-current-server) (apply #'eglot (eglot--guess-contact)))
  (eglot--maybe-activate-editing-mode)
  (until "managed" (lambda () eglot--managed-mode))
  (flymake-mode 1)
  (eglot--signal-textDocument/didChange))
(defun marks () (flymake-start) (mapcar (lambda (d) (list (flymake-diagnostic-text d) (1- (flymake-diagnostic-beg d))
                                           (1- (flymake-diagnostic-end d)))) (flymake-diagnostics)))
(defun pids () (let ((status (inkling-status)))
  (list (plist-get (plist-get status :server) :pid) (plist-get (plist-get status :engine) :pid))))
(defun ready (&optional unlike)
  (until "server and engine" (lambda ()
    (and (equal (plist-get (plist-get (inkling-status) :engine) :state) "ready")
         (let ((now (pids))) (and (cadr now) (not (equal now unlike)) now))))))
"""

FEATURES = r"""
(edit "note.txt" prose)
(ready)
(goto-char 12)
(note 'hover (until "a hover" (lambda ()
  (let (said) (eglot-hover-eldoc-function (lambda (text &rest _) (setq said text)))
       (accept-process-output nil 1) (and said (substring-no-properties said))))))
(note 'marks (apply #'vector (mapcar (lambda (mark) (apply #'vector mark)) (until "a diagnostic" #'marks))))
(defun choose (title)
  (lambda (_ choices &rest _)
    (unless (assq 'offered results) (note 'offered (apply #'vector (mapcar #'car choices))))
    title))
(goto-char 5)
(cl-letf (((symbol-function 'completing-read) (choose "Ignore \"bad\" in this workspace")))
  (eglot-code-actions 1 35 nil t))
(until "no diagnostic" (lambda () (null (marks))))
(note 'ignored (with-temp-buffer
  (insert-file-contents (expand-file-name "inkling.toml" (getenv "HOME")))
  (buffer-string)))

(edit "plain.txt" (string-replace "bad" "plain" prose))
(cl-letf (((symbol-function 'completing-read) (choose "Insert summary above")))
  (eglot-code-actions (point-min) (point-max) nil t))
(until "a summary" (lambda () (> (buffer-size) (length prose) )))
(note 'summarized (buffer-string))
(note 'why (inkling-command "inkling.whyNothing"))
(note 'answer (cl-letf (((symbol-function 'completing-read) (lambda (&rest _) ""))) (inkling-ask "What says so?")))
(note 'counted (inkling-command "inkling.token_count.count"))

(edit "mask.txt" "It was a [MASK] day, and we walked.\n")
(goto-char 16)
(note 'completed (until "a completion" (lambda ()
  (substring-no-properties (car (all-completions "" (nth 2 (eglot-completion-at-point))))))))
(defun place (item) (file-name-nondirectory (xref-location-group (xref-item-location item))))
(note 'symbols (until "a place" (lambda ()
  (let ((places (mapcar #'place (xref-backend-apropos 'eglot "?turn the crank"))))
    (and (member "part.py" places) (apply #'vector places))))))

(edit "ghost.txt" "start();\n")
(goto-char (point-max))
(let (seen)
  (inkling-suggest)
  (until "all of the ghost text" (lambda ()
    (let ((shown (inkling-shown))) (when (and shown (not (equal shown (car seen)))) (push shown seen)))
    (equal (inkling-shown) ghost)))
  (note 'seen (apply #'vector (reverse seen))))
(note 'drawn (substring-no-properties (overlay-get inkling--ghost 'after-string)))
(inkling-accept-word)
(note 'word (buffer-string))
(inkling-accept)
(note 'accepted (buffer-string))
(note 'raw (progn (edit "raw.txt" "start();\n") (goto-char (point-max))
  (until "a raw reply" (lambda ()
    (plist-get (aref (jsonrpc-request (eglot-current-server) :textDocument/inlineCompletion
      (append (eglot--TextDocumentPositionParams) '(:context (:triggerKind 1)))) 0) :insertText)))))
"""

RECOVERY = r"""
(defun works (name) (edit name prose) (until (concat "a diagnostic in " name) #'marks))
(works "before.txt")
(let ((first (ready)) second third server)
  (signal-process (cadr first) 'SIGKILL)
  (works "engine.txt")
  (setq second (ready first))
  (setq server (eglot-current-server))
  (signal-process (car second) 'SIGKILL)
  (until "the server's end" (lambda () (not (jsonrpc-running-p server))))
  (eglot-reconnect server)
  (works "server.txt")
  (setq third (ready second))
  (note 'pids (vector (car first) (car second) (car third) (cadr first) (cadr second) (cadr third))))
"""

FINISH = r"""
(with-temp-file (getenv "INKLING_RESULT") (insert (json-serialize results)))
(kill-emacs 0)
"""


def run(script: str, home: Path) -> Any:
    """Run Lisp in an Emacs of its own; returns `results`."""
    need("emacs")
    (home / "part.py").write_text("def turn_the_crank():\n    return 1\n")
    file, result = home / "drive.el", home / "result.json"
    strings = f"(setq prose {json.dumps(PROSE)} ghost {json.dumps(GHOST)})"
    file.write_text(PREPARE.replace("SETTINGS", SETTINGS) + strings + script + FINISH)
    module = REPOSITORY / "examples" / "editors" / "emacs" / "inkling.el"
    variables = environment(home, INKLING_EL=str(module), INKLING_RESULT=str(result), **SCRIPTED)
    command = ["emacs", "-Q", "--batch", "-l", str(file)]
    done = subprocess.run(command, env=variables, cwd=home, capture_output=True, text=True, timeout=170, check=False)
    if "eglot" in done.stderr and "No such file" in done.stderr:
        pytest.skip("Emacs has no Eglot (elpa-eglot); tests/editors/install.sh installs it where it can")
    assert result.exists(), done.stdout + done.stderr
    return json.loads(result.read_text())


@pytest.mark.timeout(180)
def test_surfaces(home: Path) -> None:
    got = run(FEATURES, home)
    assert "Tokens" in got["hover"] and "document" in got["hover"]
    [[message, start, end]] = got["marks"]
    assert "Reads as bad" in message and PROSE[start:end] == "This is a bad way to begin a note."
    assert 'Raise the threshold of "bad" to 0.93' in got["offered"]
    assert tomllib.loads(got["ignored"]) == {"classify": {"ignore_labels": ["bad"]}}
    assert got["summarized"].startswith("This is a plain way to begin a note")
    assert got["summarized"].endswith(PROSE.replace("bad", "plain"))
    assert got["why"]
    assert got["answer"] and "token" in got["counted"].lower()
    assert got["completed"].strip() == "word"
    assert "part.py" in got["symbols"]
    assert got["seen"][-1] == GHOST and len(got["seen"]) > 1
    assert all(GHOST.startswith(seen) for seen in got["seen"])
    assert got["drawn"] == GHOST
    assert got["word"] == "start();\norders"
    assert got["accepted"] == f"start();\n{GHOST}"
    assert GHOST.startswith(got["raw"])


@pytest.mark.timeout(180)
def test_recovery(home: Path) -> None:
    pids = run(RECOVERY, home)["pids"]
    servers, engines = pids[:3], pids[3:]
    assert servers[0] == servers[1] != servers[2]
    assert engines[0] != engines[1] == engines[2]
