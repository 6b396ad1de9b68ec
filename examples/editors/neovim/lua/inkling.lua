-- Inkling for Neovim 0.7 and newer: starts the server, shows ghost text that grows, starts the server again when it ends.
-- Put this file into lua/ of your configuration, and in init.lua: require('inkling').setup({})
--
-- From Neovim 0.12 on, vim.lsp.config and vim.lsp.inline_completion do all this without this file.

local M = {}

local defaults = {
  cmd = { 'inkling', 'lsp' },
  settings = {}, -- as in inkling.toml: { complete = { model = 'starter:code' } }; to trust: { workspaceTrusted = true }
  filetypes = { '*' },
  automatic = true, -- ask for ghost text while typing
  keys = { accept = '<Tab>', accept_word = '<C-Right>', dismiss = '<C-]>' },
}
local CRASHES, WINDOW_S = 4, 180

local options = defaults
local space = vim.api.nvim_create_namespace('inkling')
local clients = {} -- root → client id
local crashes = {}
local ghost -- { buffer, line (from 0), column (bytes), tick, text, token }
local asked = 0
local cancel -- the request under way

-- The server -----------------------------------------------------------------------------------------------------------

local function root_of(buffer)
  local name = vim.api.nvim_buf_get_name(buffer)
  local folder = name == '' and vim.fn.getcwd() or vim.fn.fnamemodify(name, ':p:h')
  for _, mark in ipairs({ 'inkling.toml', '.git' }) do
    local found = vim.fn.finddir(mark, folder .. ';')
    found = found ~= '' and found or vim.fn.findfile(mark, folder .. ';')
    if found ~= '' then
      return vim.fn.fnamemodify(found, ':p'):gsub('/$', ''):match('^(.*)/[^/]*$')
    end
  end
  return folder
end

--- Attach the buffer to its root's server, starting that if need be; returns the client.
function M.attach(buffer)
  buffer = (buffer == nil or buffer == 0) and vim.api.nvim_get_current_buf() or buffer
  if vim.bo[buffer].buftype ~= '' then
    return nil
  end
  local root = root_of(buffer)
  local id = clients[root]
  if not id or not vim.lsp.get_client_by_id(id) then
    id = vim.lsp.start_client({
      name = 'inkling',
      cmd = options.cmd,
      root_dir = root,
      workspace_folders = { { uri = vim.uri_from_fname(root), name = root } },
      init_options = options.settings,
      handlers = { ['$/progress'] = M.on_progress },
      on_exit = function(code, signal)
        vim.schedule(function()
          M.on_exit(root, code, signal)
        end)
      end,
    })
    clients[root] = id
  end
  if id then
    vim.lsp.buf_attach_client(buffer, id)
    return vim.lsp.get_client_by_id(id)
  end
end

--- The server has ended. When it did so by itself, start it again for its buffers, up to four times in three minutes.
function M.on_exit(root, code, signal)
  clients[root] = nil
  M.dismiss()
  if (code == 0 and signal == 0) or vim.v.exiting ~= vim.NIL then
    return
  end
  local now = vim.loop.now() / 1000
  crashes = vim.tbl_filter(function(at)
    return now - at < WINDOW_S
  end, crashes)
  table.insert(crashes, now)
  if #crashes > CRASHES then
    vim.notify('Inkling: the server keeps ending; :InklingRestart starts it again.', vim.log.levels.ERROR)
    return
  end
  for _, buffer in ipairs(vim.api.nvim_list_bufs()) do
    if vim.api.nvim_buf_is_loaded(buffer) and vim.bo[buffer].filetype ~= '' and root_of(buffer) == root then
      M.attach(buffer)
    end
  end
end

--- This buffer's client, when it is ready.
function M.client(buffer)
  buffer = (buffer == nil or buffer == 0) and vim.api.nvim_get_current_buf() or buffer
  local id = clients[root_of(buffer)]
  local client = id and vim.lsp.get_client_by_id(id)
  return client and client.initialized and client or nil
end

--- What `:Inkling NAME words …` passes the words as.
local takes = {
  ['ask.document'] = 'question',
  ['search.find'] = 'question',
  ['translate.selection'] = 'target',
  ['translate.show'] = 'target',
  prompt = 'name',
  ['rules.run'] = 'rule',
}

--- The commands that this buffer's server offers, without their prefix.
local function command_names()
  local client = M.client(0)
  local provider = client and client.server_capabilities.executeCommandProvider
  return vim.tbl_map(function(name)
    return (name:gsub('^inkling%.', ''))
  end, provider and provider.commands or {})
end

--- For a command that the server has not: those that begin as it does or share a word with it, in words.
local function near(name)
  local names = command_names()
  if vim.tbl_contains(names, name) then
    return ''
  end
  local found = vim.tbl_filter(function(other)
    local same = other:sub(1, 4):lower() == name:sub(1, 4):lower()
    for word in name:lower():gmatch('%a%a%a+') do
      same = same or other:lower():find(word, 1, true) ~= nil
    end
    return same
  end, names)
  return #found > 0 and ' Near it: ' .. table.concat(found, ', ') .. '.' or ''
end

--- Run a command of the server, such as 'inkling.summarize.file', on this buffer and the lines `first` to `last`, with
--- `more` arguments, such as { question = 'Who approved it?' }.
function M.command(name, first, last, on_reply, more)
  local client = assert(M.client(0), 'Inkling does not run in this buffer')
  local argument = vim.tbl_extend('error', { uri = vim.uri_from_bufnr(0) }, more or {})
  if first then
    argument.range = { start = { line = first - 1, character = 0 }, ['end'] = { line = last, character = 0 } }
  else
    argument.position = vim.lsp.util.make_position_params(0, client.offset_encoding).position
  end
  client.request('workspace/executeCommand', { command = name, arguments = { argument } }, function(failure, result)
    if failure then
      vim.notify('Inkling: ' .. failure.message .. near((name:gsub('^inkling%.', ''))), vim.log.levels.WARN)
    end
    if on_reply then
      on_reply(failure, result)
    end
  end, 0)
end

-- Ghost text -----------------------------------------------------------------------------------------------------------

local function place()
  local cursor = vim.api.nvim_win_get_cursor(0)
  return vim.api.nvim_get_current_buf(), cursor[1] - 1, cursor[2]
end

local function stands()
  if not ghost then
    return false
  end
  local buffer, line, column = place()
  return ghost.buffer == buffer and ghost.line == line and ghost.column == column
    and ghost.tick == vim.api.nvim_buf_get_changedtick(buffer)
end

local function draw()
  vim.api.nvim_buf_clear_namespace(ghost.buffer, space, 0, -1)
  local lines = vim.split(ghost.text, '\n', { plain = true })
  local below = {}
  for number = 2, #lines do
    below[#below + 1] = { { lines[number], 'Comment' } }
  end
  vim.api.nvim_buf_set_extmark(ghost.buffer, space, ghost.line, ghost.column, {
    virt_text = { { lines[1], 'Comment' } },
    virt_text_pos = vim.fn.has('nvim-0.10') == 1 and 'inline' or 'overlay',
    virt_lines = #below > 0 and below or nil,
    hl_mode = 'combine',
  })
end

local function take(items, token)
  items = items and (items.items or items)
  local item = items and items[1]
  if not item or not ghost or ghost.token ~= token or not stands() then
    return
  end
  local text = type(item.insertText) == 'table' and item.insertText.value or item.insertText
  if item.range and item.range.start.character ~= item.range['end'].character then
    return -- it replaces text around the cursor, which virtual text cannot show
  end
  if #text > #ghost.text then
    ghost.text = text
    draw()
  end
end

--- Partial results carry all the text known so far; work-done progress goes the editor's own way.
function M.on_progress(failure, result, context, config)
  if result and type(result.token) == 'string' and vim.startswith(result.token, 'inkling-ghost-') then
    take(result.value, result.token)
    return
  end
  local default = vim.lsp.handlers['$/progress']
  if default then
    return default(failure, result, context, config)
  end
end

--- Ask for ghost text at the cursor; it shows as it comes.
function M.suggest(invoked)
  M.dismiss()
  local client = M.client(0)
  if not client then
    return
  end
  asked = asked + 1
  local token = 'inkling-ghost-' .. asked
  local buffer, line, column = place()
  ghost = { buffer = buffer, line = line, column = column, text = '', token = token,
            tick = vim.api.nvim_buf_get_changedtick(buffer) }
  local params = vim.lsp.util.make_position_params(0, client.offset_encoding)
  params.context = { triggerKind = invoked and 1 or 2 }
  params.partialResultToken = token
  local ok, id = client.request('textDocument/inlineCompletion', params, function(failure, result)
    cancel = nil
    if not failure then
      take(result, token)
    end
  end, buffer)
  cancel = ok and function()
    client.cancel_request(id)
  end or nil
end

--- The ghost text that shows now, or nil.
function M.shown()
  return stands() and ghost.text ~= '' and ghost.text or nil
end

--- Take the ghost text, or as much of it as the Lua pattern `part` matches. Returns whether there was any.
function M.accept(part)
  local text = M.shown()
  if not text then
    return false
  end
  local taken = part and text:match(part) or text
  local buffer, line, column = place()
  local lines = vim.split(taken, '\n', { plain = true })
  local left = text:sub(#taken + 1)
  M.dismiss()
  vim.api.nvim_buf_set_text(buffer, line, column, line, column, lines)
  vim.api.nvim_win_set_cursor(0, { line + #lines, #lines > 1 and #lines[#lines] or column + #taken })
  if left ~= '' then
    local now_line, now_column = select(2, place())
    ghost = { buffer = buffer, line = now_line, column = now_column, text = left, token = '',
              tick = vim.api.nvim_buf_get_changedtick(buffer) }
    draw()
  end
  return true
end

--- Take one word of it.
function M.accept_word()
  return M.accept('^%s*[%w_]+') or M.accept('^%s*.')
end

--- Send it away, and what would still come.
function M.dismiss()
  if cancel then
    pcall(cancel)
    cancel = nil
  end
  if ghost and vim.api.nvim_buf_is_valid(ghost.buffer) then
    vim.api.nvim_buf_clear_namespace(ghost.buffer, space, 0, -1)
  end
  ghost = nil
end

-- Setting up -----------------------------------------------------------------------------------------------------------

local function map(key, action)
  if not key then
    return
  end
  vim.keymap.set('i', key, function()
    if M.shown() then
      vim.schedule(action)
      return ''
    end
    return key
  end, { expr = true })
end

--- Start with `given` in place of the defaults above.
function M.setup(given)
  options = vim.tbl_deep_extend('force', defaults, given or {})
  local group = vim.api.nvim_create_augroup('inkling', {})
  local function on(event, callback)
    vim.api.nvim_create_autocmd(event, { group = group, callback = callback })
  end
  vim.api.nvim_create_autocmd('FileType', { group = group, pattern = options.filetypes, callback = function(event)
    M.attach(event.buf)
  end })
  if options.automatic then
    on('TextChangedI', function()
      M.suggest(false)
    end)
  end
  on('CursorMovedI', function()
    if ghost and not stands() then
      M.dismiss()
    end
  end)
  on({ 'InsertLeave', 'BufLeave' }, M.dismiss)
  map(options.keys.accept, M.accept)
  map(options.keys.accept_word, M.accept_word)
  map(options.keys.dismiss, M.dismiss)
  vim.api.nvim_create_user_command('Inkling', function(call)
    local ranged = call.range > 0
    local name, words = call.args:match('^(%S+)%s*(.*)$')
    name = name:gsub('^inkling%.', '')
    local more = words ~= '' and { [takes[name] or 'text'] = words } or nil
    M.command('inkling.' .. name, ranged and call.line1 or nil, ranged and call.line2 or nil, nil, more)
  end, {
    nargs = '+',
    range = true,
    complete = function(start)
      local prefix = start:match('^inkling%.') or ''
      return vim.tbl_map(function(name)
        return prefix .. name
      end, vim.tbl_filter(function(name)
        return vim.startswith(prefix .. name, start)
      end, command_names()))
    end,
  })
  vim.api.nvim_create_user_command('InklingRestart', function()
    crashes = {}
    for _, id in pairs(clients) do
      vim.lsp.stop_client(id, true)
    end
    clients = {}
    M.attach(0)
  end, {})
end

return M
