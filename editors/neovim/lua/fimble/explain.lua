--- What the model is told at the cursor and why, and what speaks for each suggestion.
local page = require('fimble.page')
local server = require('fimble.server')

local M = {}

local MOST_REASONS = 6

--- JSON's null is no value.
local function value(of)
  return of ~= vim.NIL and of or nil
end

local function add(lines, text, indent)
  for line in vim.gsplit(text, '\n', { plain = true }) do
    lines[#lines + 1] = (indent or '') .. line
  end
end

local function add_told(lines, told)
  add(lines, '# What the model is told, in this order\n')
  add(lines, '| part | from | why | tokens | left out |\n|---|---|---|---:|---:|')
  local total = 0
  for _, part in ipairs(told) do
    total = total + part.tokens
    local left_out = part.left_out > 0 and part.left_out or ''
    add(lines, ('| %s | %s | %s | %d | %s |'):format(part.part, part.name, part.why, part.tokens, left_out))
  end
  add(lines, ('| all | | | %d | |\n'):format(total))
end

local function add_judged(lines, judged)
  local found = judged.suggestion
  local verdict = judged.is_shown and 'shown while you type' or 'only shown when you ask'
  add(lines, ('# %s, %d %% likely to be taken, %s\n'):format(found.source, 100 * found.confidence + 0.5, verdict))
  add(lines, found.text, '    ')
  local reasons = {}
  for number, reason in ipairs(judged.reasons) do
    if number <= MOST_REASONS and reason[2] ~= 0 then
      reasons[#reasons + 1] = ('%s %+.1f'):format(reason[1], reason[2])
    end
  end
  add(lines, '\nMostly because: ' .. table.concat(reasons, ', ') .. '\n')
end

--- The answer to `fimble/explain`, as the lines of a page.
---@param answer table
---@return string[]
function M.describe(answer)
  local lines = {}
  local silence = value(answer.silence)
  if silence and silence ~= '' then
    add(lines, ('Nothing is suggested here: %s.\n'):format((silence:gsub('%.$', ''))))
  end
  if #(value(answer.told) or {}) > 0 then
    add_told(lines, answer.told)
  end
  for _, judged in ipairs(value(answer.judged) or {}) do
    add_judged(lines, judged)
  end
  for _, part in ipairs(value(answer.told) or {}) do
    if part.text ~= '' then
      add(lines, ('# Snippet from %s\n'):format(part.name))
      add(lines, part.text, '    ')
      add(lines, '')
    end
  end
  if #lines == 0 then
    add(lines, 'Nothing was found here.')
  end
  return lines
end

--- Ask the server about the cursor's place and show what it says.
function M.show()
  local client = server.client_of(0)
  if not client then
    return vim.notify('Fimble: it is not running in this buffer. `:checkhealth fimble` may say why.', 3)
  end
  local params = vim.lsp.util.make_position_params(0, client.offset_encoding)
  server.call(client, 'request', 'fimble/explain', params, function(failure, answer)
    if failure or not value(answer) then
      vim.notify('Fimble: this place could not be explained. ' .. (failure and failure.message or ''), 3)
    else
      page.show('explain', M.describe(answer), 'markdown')
    end
  end, vim.api.nvim_get_current_buf())
end

return M
