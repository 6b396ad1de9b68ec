"""Neovim, headless, with the module of examples/editors: what it shows is read back through its own functions."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pytest

from .conftest import REPOSITORY, SCRIPTED, environment, need

WORDS = ("orders.sort();", "\nlet", "\tlast=orders.pop();", "\nprinter.feed(3);", "\nshelf.close();")
MODEL = f"fake?token_s=0.1&text={quote(' '.join(WORDS))}"
PROSE = "This is a bad way to begin a note.\n\nThe rest of it is quite all right and says so.\n"
SETTINGS = {
    "complete": {"model": MODEL, "multi_line": "always", "copy": False, "debounce_min_ms": 0, "debounce_max_ms": 0},
    "classify": {"model": "fake", "severities": {"good": "off"}},
    "summarize": {"model": "fake"},
    "better_word": {"model": "fake"},
}

PREPARE = """
local results = {}
local settings = vim.fn.json_decode(vim.fn.readfile(os.getenv('INKLING_JOB')))
local inkling = require('inkling')
inkling.setup({settings = settings.settings, automatic = false})

vim.o.virtualedit = 'onemore' -- a cursor behind the last character, as in insert mode

local function until_(what, probe)
  local value
  local ok = vim.wait(60000, function()
    local fine, found = pcall(probe)
    value = fine and found or nil
    return value and value ~= vim.NIL
  end, 20)
  assert(ok, 'never: ' .. what)
  return value
end

local function open(name, text)
  vim.cmd('edit ' .. os.getenv('HOME') .. '/' .. name)
  vim.api.nvim_buf_set_lines(0, 0, -1, true, vim.split(text, '\\n', {plain = true}))
  until_('attached', function() return inkling.client(0) end)
  return vim.api.nvim_get_current_buf()
end

local function status()
  local reply
  until_('a status', function()
    local client = inkling.client(0)
    reply = client and client.request_sync('inkling/status', {}, 5000, 0)
    return reply and reply.result
  end)
  return reply.result
end

local function ready(unlike)
  local now
  until_('server and engine', function()
    now = status()
    local fresh = not unlike or now.server.pid ~= unlike.server.pid or now.engine.pid ~= unlike.engine.pid
    return fresh and now.engine.state == 'ready' and now.engine.pid
  end)
  return now
end

local function text()
  return table.concat(vim.api.nvim_buf_get_lines(0, 0, -1, true), '\\n')
end

local function marks()
  return vim.tbl_map(function(found)
    return {message = found.message, source = found.source, line = found.lnum, from = found.col, to = found.end_col}
  end, vim.diagnostic.get(0))
end
"""

FEATURES = """
open('note.md', settings.prose)
ready()
vim.api.nvim_win_set_cursor(0, {1, 11})
local window = until_('a hover window', function()
  vim.lsp.buf.hover()
  return vim.wait(2000, function() return #vim.api.nvim_list_wins() > 1 end, 20) and vim.api.nvim_list_wins()[2]
end)
results.hover = table.concat(vim.api.nvim_buf_get_lines(vim.api.nvim_win_get_buf(window), 0, -1, true), '\\n')
vim.api.nvim_win_close(window, true)

results.marks = until_('a diagnostic', function() return #marks() > 0 and marks() end)

local function act(title)
  local offered
  vim.ui.select = function(items, _, choose)
    offered = vim.tbl_map(function(item) return (item[2] or item.action).title end, items)
    for number, item in ipairs(items) do
      if offered[number] == title then return choose(item, number) end
    end
    choose(nil)
  end
  local before = text()
  until_('the action ' .. title, function()
    vim.lsp.buf.code_action()
    return vim.wait(5000, function() return text() ~= before end, 20)
  end)
  return offered
end
results.offered = act('Ignore "bad" here')
results.ignored = text()
until_('no diagnostic', function() return #marks() == 0 end)

open('plain.md', settings.plain)
vim.lsp.buf.range_code_action = vim.lsp.buf.range_code_action or vim.lsp.buf.code_action
local before = text()
vim.ui.select = function(items, _, choose)
  for number, item in ipairs(items) do
    if (item[2] or item.action).title == 'Insert summary above' then return choose(item, number) end
  end
end
until_('a resolved action', function()
  vim.lsp.buf.range_code_action({}, {1, 0}, {3, 20})
  return vim.wait(5000, function() return text() ~= before end, 20)
end)
results.summarized = text()

local reply
inkling.command('inkling.whyNothing', nil, nil, function(_, said) reply = said end)
results.why = until_('a reply to a command', function() return reply end)
results.told = {}
local notify = vim.notify
vim.notify = function(words) table.insert(results.told, words) end
vim.cmd('Inkling inkling.whyNothing')
vim.cmd('Inkling summarise.file')
until_('a word about a command that is none', function() return #results.told > 0 end)
vim.notify = notify
local answer
vim.lsp.handlers['window/showMessageRequest'] = function() return vim.NIL end -- "Others: …", and nobody to choose
inkling.command('inkling.ask.document', nil, nil, function(_, said) answer = said end, {question = 'What says so?'})
results.answer = until_('an answer', function() return answer end)

open('mask.md', 'It was a [MASK] day, and we walked.')
vim.api.nvim_win_set_cursor(0, {1, 15})
local client = inkling.client(0)
local here = vim.lsp.util.make_position_params(0, client.offset_encoding)
results.completed = until_('a completion', function()
  local answer = client.request_sync('textDocument/completion', here, 20000, 0)
  return vim.lsp.util.text_document_completion_list_to_complete_items(answer.result, '')[1].word
end)
results.symbols = until_('places', function()
  vim.fn.setqflist({}, 'r')
  vim.lsp.buf.workspace_symbol('?turn the crank')
  vim.wait(5000, function() return #vim.fn.getqflist() > 0 end, 20)
  local function name(item) return vim.fn.fnamemodify(vim.fn.bufname(item.bufnr), ':t') end
  local places = vim.tbl_map(name, vim.fn.getqflist())
  return vim.tbl_contains(places, 'part.py') and places
end)
vim.cmd('cclose')

open('ghost.js', 'start();\\n')
vim.api.nvim_win_set_cursor(0, {2, 0})
local seen = {}
inkling.suggest(true)
until_('all of the ghost text', function()
  local shown = inkling.shown()
  if shown and shown ~= seen[#seen] then seen[#seen + 1] = shown end
  return shown == settings.ghost
end)
results.seen = seen
local mark = vim.api.nvim_buf_get_extmarks(0, vim.api.nvim_create_namespace('inkling'), 0, -1, {details = true})[1]
results.virtual = {mark[4].virt_text[1][1]}
for _, line in ipairs(mark[4].virt_lines) do table.insert(results.virtual, line[1][1]) end
assert(inkling.accept_word())
results.word = text()
assert(inkling.accept())
results.accepted = text()

local params = vim.lsp.util.make_position_params(0, client.offset_encoding)
params.position = {line = 1, character = 0}
params.context = {triggerKind = 1}
open('raw.js', 'start();\\n')
params.textDocument.uri = vim.uri_from_bufnr(0)
results.raw = until_('a raw reply', function()
  local answer = client.request_sync('textDocument/inlineCompletion', params, 20000, 0)
  return answer and answer.result and answer.result[1].insertText
end)
"""

RECOVERY = """
local function works(name)
  open(name, settings.prose)
  until_('a diagnostic after ' .. name, function() return #marks() > 0 end)
end
works('before.md')
local first = ready()
vim.loop.kill(first.engine.pid, 'sigkill')
works('engine.md')
local second = ready(first)
vim.loop.kill(second.server.pid, 'sigkill')
local third = ready(second)
works('server.md')
results = {first.server.pid, second.server.pid, third.server.pid, first.engine.pid, second.engine.pid, third.engine.pid}
"""

FINISH = """
vim.fn.writefile({vim.fn.json_encode(results)}, os.getenv('INKLING_RESULT'))
vim.cmd('qall!')
"""


def run(script: str, home: Path) -> Any:
    """Run Lua in a Neovim of its own; returns `results`."""
    need("nvim")
    job, result, lua, init = (home / name for name in ("job.json", "result.json", "drive.lua", "init.lua"))
    (home / "part.py").write_text("def turn_the_crank():\n    return 1\n")
    plain = PROSE.replace("bad", "plain")
    job.write_text(json.dumps({"settings": SETTINGS, "prose": PROSE, "plain": plain, "ghost": "".join(WORDS)}))
    lua.write_text(PREPARE + script + FINISH)
    init.write_text("vim.cmd('filetype on')\n")
    module = REPOSITORY / "examples" / "editors" / "neovim"
    command = ["nvim", "--headless", "-u", str(init), "-i", "NONE", "-n", "--cmd", f"set rtp+={module}"]
    variables = environment(home, INKLING_JOB=str(job), INKLING_RESULT=str(result), **SCRIPTED)
    done = subprocess.run(
        [*command, "-c", f"luafile {lua}", "-c", "cquit 3"],
        env=variables, cwd=home, capture_output=True, text=True, timeout=170, check=False,
    )  # fmt: skip
    assert result.exists(), done.stderr
    return json.loads(result.read_text())


@pytest.mark.timeout(180)
def test_surfaces(home: Path) -> None:
    got = run(FEATURES, home)
    assert "Tokens" in got["hover"] and "document" in got["hover"]
    assert [(mark["line"], mark["from"], mark["to"]) for mark in got["marks"]] == [(0, 0, 34)]
    assert got["marks"][0]["source"] == "inkling: classify"
    assert 'Ignore "bad" in this workspace' in got["offered"]
    assert "inkling" in got["ignored"].splitlines()[0] and got["ignored"].endswith(PROSE)
    assert got["summarized"].startswith("This is a plain way to begin a note")
    assert got["summarized"].endswith(PROSE.replace("bad", "plain"))
    assert got["why"] and got["answer"]
    [told] = got["told"]  # inkling.whyNothing is a command with its prefix, too
    assert "no such command" in told and "summarize.file" in told
    assert got["completed"] == "word"
    assert "part.py" in got["symbols"]
    whole = "".join(WORDS)
    assert got["seen"][-1] == whole and len(got["seen"]) > 1
    assert all(whole.startswith(seen) for seen in got["seen"])
    assert got["virtual"] == whole.split("\n")
    assert got["word"] == "start();\norders"
    assert got["accepted"] == f"start();\n{whole}"
    assert whole.startswith(got["raw"])


@pytest.mark.timeout(180)
def test_recovery(home: Path) -> None:
    servers, engines = (lambda pids: (pids[:3], pids[3:]))(run(RECOVERY, home))
    assert servers[0] == servers[1] != servers[2]
    assert engines[0] != engines[1] == engines[2]
