# Each target sets up what it needs. PYTHON picks the interpreter (3.11 or newer), TORCH_INDEX where PyTorch comes from.
PYTHON ?= python3
MINUTES ?= 5
VENV   := .venv
PY     := $(VENV)/bin/python
READY  := $(VENV)/.ready

CLUSTER := .venv-cluster

.PHONY: tour test check bench soak soak-editor vsix playground pictures clean cluster-test cluster-transcript bench-cluster capacity

tour: $(READY)  ## a real session on examples/, in the terminal
	@$(PY) -m inkling tour

test: $(READY)  ## everything
	@PYTHON=$(PY) tests/engine/install_servers.sh
	@$(PY) -m pytest -q $(ARGS)

check: $(READY)  ## what a reviewer would run first
	@$(PY) -m ruff check . && $(PY) -m ruff format --check . && $(PY) -m mypy

bench: $(READY)  ## every figure, with its peers, into bench/results.json; the first time builds llama.cpp, 10 minutes
	@PYTHON=$(PY) bench/install_llama_cpp.sh
	@PYTHON=$(PY) bench/install_jedi.sh
	@$(PY) -m bench $(ARGS)

soak: $(READY)  ## minutes of faults: make soak ARGS="--minutes 10"
	@$(PY) -m bench.soak $(ARGS)

cluster-test: $(CLUSTER)/.ready  ## the engine under Ray Serve: faults, drain, two nodes; in a network of its own
	@tests/cluster/alone.sh $(CLUSTER)/bin/python -m pytest -q -p no:cacheprovider -W default tests/cluster tests/unit/test_deploy.py $(ARGS)

cluster-transcript: $(CLUSTER)/.ready  ## the same, and what they say into docs/cluster.md
	@INKLING_TRANSCRIPT=docs/cluster.md tests/cluster/alone.sh $(CLUSTER)/bin/python -m pytest -q -p no:cacheprovider -W default tests/cluster

bench-cluster: $(CLUSTER)/.ready  ## a cluster's figures
	@tests/cluster/alone.sh $(CLUSTER)/bin/python -m bench cluster $(ARGS)

capacity: $(READY)  ## measure service times here, and write docs/capacity.md's table from them (a quiet machine, please)
	@$(PY) -m inkling bench load --developers 4 --seconds 120 --json server/inkling/engine > build-capacity.json
	@mv build-capacity.json docs/capacity.json
	@$(PY) -m inkling bench capacity docs/capacity.json --write docs/capacity.md

soak-editor: $(READY)  ## minutes of typing in VS Code: make soak-editor MINUTES=10
	@tests/editors/install.sh
	@INKLING_SOAK_S=$$(($(MINUTES) * 60)) $(PY) -m pytest -q -rs tests/editors/test_vscode_typing.py

vsix:  ## the VS Code extension
	@cd client-vscode && npm ci --no-fund --no-audit && npm run package

playground:  ## the page of `inkling playground`, into the package
	@cd playground && npm ci --no-fund --no-audit && npm run build

pictures: $(READY)  ## the pictures in docs/images, taken from runs of VS Code
	@tests/editors/install.sh
	@INKLING_PICTURES=$(CURDIR)/docs/images $(PY) -m pytest -q -rs tests/editors/test_vscode_ui.py tests/editors/test_vscode_typing.py \
	  tests/editors/test_vscode_surfaces.py

# torch comes first and with its own dependencies, which differ by platform; the rest of the tree is pinned as a whole,
# so it goes in without resolution. That also leaves out what the encoder's package declares but Inkling never uses.
$(READY): pyproject.toml constraints.txt
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "Inkling needs Python 3.11 or newer: make PYTHON=/path/to/python3.11")'
	@test -x $(PY) || $(PYTHON) -m venv $(VENV)
	@echo "Installing into $(VENV): PyTorch first, then the rest; one to four minutes, once …"
	@$(PY) -m pip install -q --disable-pip-version-check -c constraints.txt $(if $(TORCH_INDEX),--index-url $(TORCH_INDEX)) torch
	@$(PY) -m pip install -q --disable-pip-version-check --no-deps -r constraints.txt
	@$(PY) -m pip install -q --disable-pip-version-check --no-deps --no-build-isolation -e .
	@touch $(READY)

# Ray comes on top of the environment above, which stays as it is.
$(CLUSTER)/.ready: $(READY) constraints-cluster.txt
	@test -x $(CLUSTER)/bin/python || $(PYTHON) -m venv $(CLUSTER)
	@echo "Installing into $(CLUSTER) …"
	@echo "import site; site.addsitedir('$$($(PY) -c 'import sysconfig; print(sysconfig.get_path("purelib"))')')" \
	  > $$($(CLUSTER)/bin/python -c 'import sysconfig; print(sysconfig.get_path("purelib"))')/base.pth
	@$(CLUSTER)/bin/python -m pip install -q --disable-pip-version-check --no-deps -r constraints-cluster.txt
	@touch $@

clean:
	rm -rf $(VENV) $(CLUSTER) .mypy_cache .ruff_cache .pytest_cache build dist
