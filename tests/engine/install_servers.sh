#!/usr/bin/env bash
# What `transformers serve` and llama-cpp-python's server import besides what is here already: a few megabytes of plain
# Python into .cache/servers. llama.cpp itself comes from bench/install_llama_cpp.sh, since it is built for ten minutes.
# What cannot be had is said, and its tests are skipped.
set -uo pipefail
cd "$(dirname "$0")/../.."
wanted=tests/engine/servers.txt
place=.cache/servers
python=${PYTHON:-.venv/bin/python}

cmp -s "$wanted" "$place/.ready" && exit 0
mkdir -p "$place"
if "$python" -m pip install -q --disable-pip-version-check --retries 1 --timeout 10 --no-deps --upgrade --target "$place" \
  -r "$wanted" >"$place/install.log" 2>&1 </dev/null; then
  cp "$wanted" "$place/.ready"
else
  echo "servers: could not be installed, see $place/install.log"
fi
exit 0
