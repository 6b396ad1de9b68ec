#!/usr/bin/env bash
# The peer of the hover figures: jedi-language-server, put into .cache/jedi, once. A dependency of the benchmark alone; what
# else it imports (pygls, lsprotocol) is in the environment already. Without it its rows are left out, and that is said.
set -uo pipefail
cd "$(dirname "$0")/.."
place=.cache/jedi
version=0.47.0
python=${PYTHON:-.venv/bin/python}

ready() {
  PYTHONPATH=$place "$python" -c "
import sys, jedi_language_server.cli
from importlib.metadata import version
sys.exit(version('jedi-language-server') != '$version')" >/dev/null 2>&1
}

ready && exit 0
packages=("jedi-language-server==$version" jedi==0.20.1 parso==0.8.7 docstring-to-markdown==0.17 lazy-importer==0.1.0
  importlib-metadata==10.2.0 zipp==4.1.2)
mkdir -p "$place"
if "$python" -m pip install -q --disable-pip-version-check --no-deps --upgrade --target "$place" "${packages[@]}" \
  >"$place.log" 2>&1 </dev/null && ready; then
  echo "jedi-language-server: installed for the hover figures"
else
  echo "jedi-language-server: not installed, see $place.log; the hover figures leave it out"
fi
exit 0
