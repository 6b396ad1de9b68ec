;;; inkling.el --- Models in your editor, on your own machine -*- lexical-binding: t; -*-

;; Package-Requires: ((emacs "28.1") (eglot "1.9"))
;; SPDX-License-Identifier: Apache-2.0

;;; Commentary:

;; Eglot shows Inkling's hovers, squiggles and code actions by itself.  This file registers the server with Eglot and adds
;; what Eglot has not: ghost text (`inkling-ghost-mode', `inkling-suggest'), commands, and the engine's state.
;;
;;   (load "/path/to/inkling.el")
;;   (add-hook 'text-mode-hook #'eglot-ensure)
;;   (add-hook 'eglot-managed-mode-hook #'inkling-ghost-mode)

;;; Code:

(require 'cl-lib)
(require 'eglot)
(require 'jsonrpc)

(defgroup inkling nil "Models in your editor, on your own machine." :group 'tools)

(defcustom inkling-command '("inkling" "lsp")
  "The program that starts the server, and its arguments."
  :type '(repeat string))

(defcustom inkling-settings nil
  "Settings as in inkling.toml: (:complete (:model \"starter:code\")).
In workspaces that you trust: (:workspaceTrusted t)."
  :type 'plist)

(defcustom inkling-modes '(text-mode markdown-mode org-mode)
  "Modes for which Eglot starts Inkling.  Eglot runs one server per mode, so a language's own server stays where it is."
  :type '(repeat symbol))

(defcustom inkling-delay 0.15
  "Seconds without a keystroke before ghost text is asked for."
  :type 'number)

(defface inkling-ghost '((t :inherit shadow)) "Ghost text.")

(add-to-list 'eglot-server-programs
             (cons inkling-modes
                   (lambda (&rest _)
                     (append inkling-command (list :initializationOptions (or inkling-settings eglot--{}))))))

;;; Commands

(defun inkling--server ()
  "The server of this buffer; an error when there is none."
  (or (eglot-current-server) (user-error "Inkling does not run in this buffer; M-x eglot starts it")))

(defun inkling--target ()
  "What a command speaks of: this buffer, and its region if one is active."
  (append (list :uri (plist-get (eglot--TextDocumentIdentifier) :uri))
          (if (use-region-p)
              (list :range (list :start (eglot--pos-to-lsp-position (region-beginning))
                                 :end (eglot--pos-to-lsp-position (region-end))))
            (list :position (eglot--pos-to-lsp-position (point))))))

(defun inkling-command (name &optional argument)
  "Run the server's command NAME, such as \"inkling.summarize.file\", on this buffer; ARGUMENT is a plist to add."
  (interactive
   (list (completing-read "Inkling command: "
                          (append (plist-get (eglot--server-capable :executeCommandProvider) :commands) nil) nil t)))
  (eglot--signal-textDocument/didChange)
  (let ((reply (jsonrpc-request (inkling--server) :workspace/executeCommand
                                (list :command name :arguments (vector (append (inkling--target) argument)))
                                :timeout 600)))
    (when (and (stringp reply) (called-interactively-p 'any)) (message "%s" reply))
    reply))

(defun inkling-summarize-selection () "Summarize the region." (interactive) (inkling-command "inkling.summarize.selection"))
(defun inkling-summarize-file () "Summarize this buffer." (interactive) (inkling-command "inkling.summarize.file"))
(defun inkling-continue-writing () "Continue writing at point." (interactive) (inkling-command "inkling.continue_writing"))
(defun inkling-ask (question)
  "Go to the answer to QUESTION in this buffer, or in its region."
  (interactive "sAsk this document: ")
  (inkling-command "inkling.ask.document" (list :question question)))
(defun inkling-search (question)
  "Go to what answers QUESTION in the workspace."
  (interactive "sSearch by meaning: ")
  (inkling-command "inkling.search.find" (list :question question)))
(defun inkling-translate (language)
  "Put a translation into LANGUAGE in the place of the region; empty means the one of the settings."
  (interactive "sTranslate into: ")
  (inkling-command "inkling.translate.selection" (unless (string-empty-p language) (list :target language))))
(defun inkling-explain () "Explain the region." (interactive) (inkling-command "inkling.prompt" '(:name "explain")))
(defun inkling-rewrite () "Rewrite the region." (interactive) (inkling-command "inkling.prompt" '(:name "rewrite")))
(defun inkling-why-nothing ()
  "Say why there was no suggestion."
  (interactive)
  (message "%s" (inkling-command "inkling.whyNothing")))

(defun inkling-status ()
  "The server's account of itself, as a plist; shown when called by key."
  (interactive)
  (let* ((status (jsonrpc-request (inkling--server) :inkling/status eglot--{}))
         (engine (plist-get status :engine)))
    (when (called-interactively-p 'any)
      (message "Inkling: engine %s%s" (plist-get engine :state)
               (mapconcat (lambda (model) (format ", %s %s" (plist-get model :id) (plist-get model :state)))
                          (plist-get engine :models) "")))
    status))

;;; Ghost text

(defvar-local inkling--ghost nil "The overlay that shows ghost text.")
(defvar-local inkling--tick nil "The buffer's state that the ghost text is for.")
(defvar-local inkling--timer nil)
(defvar inkling--asked nil "The request under way: (TOKEN BUFFER TICK . POINT).")
(defvar inkling--requests 0)

(defvar inkling-ghost-map
  (let ((map (make-sparse-keymap)))
    (define-key map (kbd "TAB") #'inkling-accept)
    (define-key map (kbd "<C-right>") #'inkling-accept-word)
    (define-key map (kbd "C-g") #'inkling-send-away)
    map)
  "Keys while ghost text shows.")

(defun inkling-shown ()
  "The ghost text that shows now, or nil."
  (and inkling--ghost (overlay-buffer inkling--ghost) (overlay-get inkling--ghost 'inkling-text)))

(defun inkling-dismiss ()
  "Take the ghost text off the screen."
  (when inkling--ghost (delete-overlay inkling--ghost))
  (setq inkling--ghost nil inkling--tick nil))

(defun inkling-send-away ()
  "Send the ghost text away, and what would still come."
  (interactive)
  (setq inkling--asked nil)
  (inkling-dismiss))

(defun inkling--show (text)
  "Show TEXT behind point."
  (inkling-dismiss)
  (setq inkling--ghost (make-overlay (point) (point) nil t nil)
        inkling--tick (cons (buffer-chars-modified-tick) (point)))
  (overlay-put inkling--ghost 'inkling-text text)
  (overlay-put inkling--ghost 'after-string
               (concat (propertize (substring text 0 1) 'face 'inkling-ghost 'cursor t)
                       (propertize (substring text 1) 'face 'inkling-ghost))))

(defun inkling--item-text (reply)
  "The text that the first item of REPLY inserts at point, or nil."
  (let* ((items (append (if (vectorp reply) reply (plist-get reply :items)) nil))
         (text (plist-get (car items) :insertText))
         (range (plist-get (car items) :range)))
    (and (stringp text) (not (string-empty-p text))
         (or (null range) (equal (plist-get range :start) (plist-get range :end)))
         text)))

;; Partial results carry all the text known so far.
(cl-defmethod eglot-handle-notification :around
  (_server (_method (eql $/progress)) &key token value &allow-other-keys)
  (if (and (stringp token) (string-prefix-p "inkling-ghost-" token))
      (inkling--take token value)
    (condition-case nil (cl-call-next-method) (cl-no-next-method nil)))) ; Eglot 1.9 has none

(defun inkling--take (token reply)
  "Show REPLY if the request TOKEN is the last one and its place still stands."
  (pcase inkling--asked
    ((and `(,(pred (equal token)) ,buffer . ,place) (guard (buffer-live-p buffer)))
     (with-current-buffer buffer
       (let ((text (and (equal place (cons (buffer-chars-modified-tick) (point))) (inkling--item-text reply))))
         (when (and text (> (length text) (length (inkling-shown))))
           (inkling--show text)))))))

(defun inkling-suggest (&optional automatic)
  "Ask for ghost text at point, and show it as it grows; AUTOMATIC when the user did not ask."
  (interactive)
  (let ((server (inkling--server))
        (token (format "inkling-ghost-%d" (cl-incf inkling--requests))))
    (inkling-dismiss)
    (eglot--signal-textDocument/didChange)
    (setq inkling--asked (cl-list* token (current-buffer) (buffer-chars-modified-tick) (point)))
    (jsonrpc-async-request
     server :textDocument/inlineCompletion
     (append (eglot--TextDocumentPositionParams)
             (list :context (list :triggerKind (if automatic 2 1)) :partialResultToken token))
     :success-fn (lambda (reply) (inkling--take token reply))
     :error-fn #'ignore :timeout-fn #'ignore)))

(defun inkling-accept (&optional length)
  "Take the ghost text, or its first LENGTH characters."
  (interactive)
  (let ((text (inkling-shown)))
    (unless text (user-error "There is no ghost text"))
    (inkling-send-away)
    (insert (substring text 0 length))
    (when (and length (< length (length text))) (inkling--show (substring text length)))))

(defun inkling-accept-word ()
  "Take one word of the ghost text."
  (interactive)
  (let ((text (or (inkling-shown) "")))
    (string-match "\\`[[:space:]]*\\(?:[[:alnum:]_]+\\|.\\)" text)
    (inkling-accept (and (match-end 0) (max 1 (match-end 0))))))

(defun inkling--after-command ()
  "Drop ghost text that no longer stands, and ask anew after typing."
  (when (and inkling--tick (not (equal inkling--tick (cons (buffer-chars-modified-tick) (point)))))
    (inkling-dismiss))
  (when inkling--timer (cancel-timer inkling--timer))
  (when (and (eq this-command 'self-insert-command) (eglot-current-server))
    (let ((buffer (current-buffer)))
      (setq inkling--timer
            (run-with-idle-timer inkling-delay nil
                                 (lambda ()
                                   (when (and (buffer-live-p buffer) (eq buffer (current-buffer)))
                                     (inkling-suggest t))))))))

;;;###autoload
(define-minor-mode inkling-ghost-mode
  "Ghost text while typing."
  :lighter " Ink"
  (if inkling-ghost-mode
      (add-hook 'post-command-hook #'inkling--after-command nil t)
    (remove-hook 'post-command-hook #'inkling--after-command t)
    (inkling-dismiss)))

(push `(inkling--ghost . ,inkling-ghost-map) minor-mode-map-alist)

(provide 'inkling)
;;; inkling.el ends here
