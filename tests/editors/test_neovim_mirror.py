"""Neovim's own LSP client edits buffers at random; the mirror must hold the buffer's text after every edit.

Run as a script, this file is the language server that Neovim talks to: it feeds each `didChange` to a `Document` and
tells the mirror's text on request.
"""

from __future__ import annotations

import json
import random
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from inkling.text.document import Change, Document, MirrorProblem
from inkling.text.encoding import Encoding

PIECES = ["a", "if x", " ", "    ", "é", "日本", "😀", "👩‍👩‍👧", "\f", "\u2028", "\x85", "ﬁ", "𝒳", "n\u0301"]
# No command here empties the buffer: Neovim then tells the server that the last line end is gone, and keeps it.
COMMANDS = ["dd", "x", "J", "yyp", "u", "2dd", "D", ">>", "xp", "o😀x", "Ié", "p"]

LUA = """
local job = vim.fn.json_decode(vim.fn.readfile(os.getenv('MIRROR_JOB')))
local results = {}
for _, script in ipairs(job.scripts) do
  local buffer = vim.api.nvim_create_buf(true, false)
  vim.api.nvim_set_current_buf(buffer)
  vim.api.nvim_buf_set_name(buffer, '/mirror/' .. script.name)
  vim.bo[buffer].fileformat = script.format
  vim.bo[buffer].swapfile = false
  vim.api.nvim_buf_set_lines(buffer, 0, -1, true, script.lines)
  local id = vim.lsp.start_client({
    name = script.name, cmd = {job.python, job.server}, root_dir = '/', offset_encoding = script.encoding,
    flags = {debounce_text_changes = 0},
  })
  vim.lsp.buf_attach_client(buffer, id)
  local client = vim.lsp.get_client_by_id(id)
  assert(vim.wait(10000, function() return client.initialized end, 5), 'no server')
  local function place(at)
    local count = vim.api.nvim_buf_line_count(buffer)
    local row = math.min(math.floor(at[1] * count), count - 1)
    local line = vim.api.nvim_buf_get_lines(buffer, row, row + 1, true)[1]
    local byte = vim.fn.byteidxcomp(line, math.floor(at[2] * (vim.fn.strchars(line) + 1)))
    return row, byte < 0 and #line or byte
  end
  local steps = {}
  for number, edit in ipairs(script.edits) do
    local row, column = place(edit.at)
    if edit.command and vim.api.nvim_buf_line_count(buffer) > 3 then
      vim.api.nvim_win_set_cursor(0, {row + 1, column})
      pcall(vim.cmd, 'silent! normal! ' .. edit.command)
    elseif edit.to then
      local last_row, last_column = place(edit.to)
      if last_row < row or (last_row == row and last_column < column) then
        row, column, last_row, last_column = last_row, last_column, row, column
      end
      vim.api.nvim_buf_set_text(buffer, row, column, last_row, last_column, edit.lines)
    end
    local reply = assert(client.request_sync('mirror/text', {uri = vim.uri_from_bufnr(buffer)}, 10000, buffer))
    local ending = script.format == 'dos' and '\\r\\n' or '\\n'
    local lines = vim.api.nvim_buf_get_lines(buffer, 0, -1, true)
    steps[number] = {buffer = table.concat(lines, ending) .. ending, mirror = reply.result.text,
                     problems = reply.result.problems}
  end
  results[#results + 1] = steps
  client.stop()
end
vim.fn.writefile({vim.fn.json_encode(results)}, os.getenv('MIRROR_RESULT'))
vim.cmd('qall!')
"""


def serve() -> None:
    """A language server with nothing in it but a mirror."""
    documents: dict[str, Document] = {}
    problems: list[str] = []
    reader, writer = sys.stdin.buffer, sys.stdout.buffer

    def reply(message: dict[str, Any], result: Any) -> None:
        body = json.dumps({"jsonrpc": "2.0", "id": message["id"], "result": result}).encode()
        writer.write(b"Content-Length: %d\r\n\r\n%s" % (len(body), body))
        writer.flush()

    while header := reader.readline():
        length = int(header.split(b":")[1])
        while reader.readline().strip():
            pass
        message = json.loads(reader.read(length))
        method, params = message.get("method"), message.get("params") or {}
        if method == "initialize":
            reply(message, {"capabilities": {"textDocumentSync": {"openClose": True, "change": 2}}})
        elif method == "textDocument/didOpen":
            item = params["textDocument"]
            name, encoding = item["uri"], Encoding(item["uri"].rsplit(".", 1)[1])
            documents[name] = Document(name, item["languageId"], item["version"], item["text"], encoding)
        elif method == "textDocument/didChange":
            document = documents[params["textDocument"]["uri"]]
            changes = [change_from(change) for change in params["contentChanges"]]
            problems += [problem.name for problem in document.apply(changes, params["textDocument"]["version"])]
        elif method == "mirror/text":
            reply(message, {"text": documents[params["uri"]].snapshot.text, "problems": problems})
        elif method == "shutdown":
            reply(message, None)
        elif method == "exit":
            return


def change_from(change: dict[str, Any]) -> Change:
    span = change.get("range")
    if span is None:
        return Change(change["text"])
    start, end = ((p["line"], p["character"]) for p in (span["start"], span["end"]))
    return Change(change["text"], start, end)


def scripts(seed: int, count: int, edits: int) -> list[dict[str, Any]]:
    pick = random.Random(seed)

    def lines(most: int) -> list[str]:
        return ["".join(pick.choices(PIECES, k=pick.randint(0, 6))) for _ in range(pick.randint(1, most))]

    def edit() -> dict[str, Any]:
        at = [pick.random(), pick.random()]
        if pick.random() < 0.4:
            return {"at": at, "command": pick.choice(COMMANDS)}
        return {"at": at, "to": at if pick.random() < 0.5 else [pick.random(), pick.random()], "lines": lines(3)}

    return [
        {
            "name": f"{number}.{encoding}",
            "encoding": encoding,
            "format": pick.choice(["unix", "dos"]),
            "lines": lines(6),
            "edits": [edit() for _ in range(edits)],
        }
        for number, encoding in ((n, list(Encoding)[n % 3]) for n in range(count))
    ]


@pytest.mark.skipif(shutil.which("nvim") is None, reason="Neovim (`nvim`) is not on PATH")
def test_the_mirror_follows_neovim(tmp_path: Path) -> None:
    jobs = scripts(seed=4, count=12, edits=50)
    job, lua, result = tmp_path / "job.json", tmp_path / "drive.lua", tmp_path / "result.json"
    job.write_text(json.dumps({"python": sys.executable, "server": __file__, "scripts": jobs}))
    lua.write_text(LUA)
    run = subprocess.run(
        ["nvim", "--headless", "-u", "NONE", "-i", "NONE", "-n", "-c", f"luafile {lua}", "-c", "cquit 3"],
        env={"PATH": "/usr/bin:/bin", "HOME": str(tmp_path), "MIRROR_JOB": str(job), "MIRROR_RESULT": str(result)},
        capture_output=True,
        text=True,
        timeout=100,
        check=False,
    )
    assert result.exists(), run.stderr
    steps = [(name, step) for name, script in zip(jobs, json.loads(result.read_text()), strict=True) for step in script]
    assert len(steps) == 600
    for script, step in steps:
        assert step["mirror"] == step["buffer"], script["name"]
        assert not step["problems"], (script["name"], MirrorProblem[step["problems"][0]])


if __name__ == "__main__":
    serve()
