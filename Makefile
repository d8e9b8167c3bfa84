# Everloop's commands. `make help` lists them. Only Python >= 3.11 and make are needed: no uv, no Java, no Docker.

SHELL := /bin/sh
.DEFAULT_GOAL := help
MAKEFLAGS += --no-print-directory

VENV := .venv
BIN := $(VENV)/bin
STAMP := $(VENV)/.installed
MEMBERS := shared services/ingest services/drift services/trainer services/gatekeeper services/rollout services/serving
PROJECTS := $(addsuffix /pyproject.toml,$(MEMBERS))
CODE := $(wildcard shared services tests examples compose benchmarks)
PYTEST := $(BIN)/python -m pytest
ARGS ?=

# Tried in this order by `make setup`, unless PYTHON names one. The first is what we develop with.
PYTHON ?=
CANDIDATES := $(if $(PYTHON),$(PYTHON),python3.11 python3.12 python3.13 python3 python3.14 python)

.PHONY: help setup lint format check test unit contracts simulation bus integration e2e docs soak bench \
	demo up down lock clean

help: ## List the targets
	@awk 'BEGIN { FS = ":.*## " } /^[a-z][a-z0-9-]*:.*## / { printf "  %-12s %s\n", $$1, $$2 }' $(firstword $(MAKEFILE_LIST))
	@printf '\n  Arguments for pytest, the demo, `up` and the benchmarks: make unit ARGS="-k watermark"\n'

setup: $(STAMP) ## Make .venv with everything in it, at the locked versions (again: nothing to do)

$(BIN)/python:
	@found=; bare=; \
	for python in $(CANDIDATES); do \
		$$python -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null || continue; \
		if $$python -c 'import venv, ensurepip' 2>/dev/null; then found=$$python; break; fi; \
		bare=$$python; \
	done; \
	if [ -n "$$found" ]; then echo "setup: $(VENV) with `$$found --version`"; exec $$found -m venv $(VENV); fi; \
	if [ -n "$$bare" ]; then \
		echo "setup: $$bare cannot make environments. Install its venv module (Debian, Ubuntu: apt-get install python3-venv), then run make setup again." >&2; \
	else \
		echo "setup: no Python >= 3.11 among: $(CANDIDATES). Install one, or name it: make setup PYTHON=/path/to/python3" >&2; \
	fi; exit 1

# pip installs uv, uv installs the rest: measured with empty caches on two cores, 13 s instead of 85 s for pip alone.
# uv does not read pip's configuration (mirrors, certificates), so where it fails pip does the work. Both check the hashes.
$(STAMP): requirements.lock $(PROJECTS) | $(BIN)/python
	@$(BIN)/python -m pip --version >/dev/null 2>&1 || $(BIN)/python -m ensurepip >/dev/null
	@echo "setup: installing the locked packages (about 1.3 GB on disk)"
	@sed -n '/^uv==/,/[^\\]$$/p' requirements.lock > $(VENV)/uv.lock
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --require-hashes --no-deps --only-binary :all: -r $(VENV)/uv.lock
	@$(BIN)/uv pip install --python $(BIN)/python --require-hashes -r requirements.lock || { \
		echo "setup: uv could not, pip tries with its own configuration"; \
		$(BIN)/python -m pip install --disable-pip-version-check --no-deps --require-hashes -r requirements.lock; }
	@echo "setup: installing the members, editable"
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps --no-build-isolation \
		$(foreach member,$(MEMBERS),--editable ./$(member))
	@$(BIN)/python -c 'import pathlib, site; pathlib.Path(site.getsitepackages()[0], "everloop-root.pth").write_text(f"{pathlib.Path.cwd()}\n")'
	@touch $@
	@echo "setup: done"

lint: setup ## Check style, formatting, types (strict, tests included) and who may import whom
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy $(CODE)
	$(BIN)/lint-imports

format: setup ## Format the code and apply the safe fixes
	$(BIN)/ruff check --fix-only --quiet .
	$(BIN)/ruff format .

check: lint test ## Everything that must be green before a change goes in

test: setup ## Run every test but the soak: three at once on two cores, as some wait; then stacks, one after the other
	$(PYTEST) -m "not soak" -n 3 --dist worksteal --ignore=tests/e2e tests $(ARGS)
	$(PYTEST) -m "not soak" tests/e2e $(ARGS)

unit: setup ## Pure cores: no broker, no disk, no clock
	$(PYTEST) tests/unit $(ARGS)

contracts: setup ## Events, topics and wiring against the registry
	$(PYTEST) tests/contracts $(ARGS)

simulation: setup ## All services on the in-memory log, with crashes at every effect
	$(PYTEST) tests/simulation $(ARGS)

bus: setup ## One behaviour suite for the in-memory log and a real broker
	$(PYTEST) tests/bus $(ARGS)

integration: setup ## Adapters against the real thing
	$(PYTEST) tests/integration $(ARGS)

e2e: setup ## The whole stack as processes, from a prediction to a promoted champion
	$(PYTEST) tests/e2e -m "not soak" $(ARGS)

docs: setup ## Write the generated pages anew; then the documentation: complete, its links resolve, its snippets run
	$(BIN)/python -m everloop.docs
	$(BIN)/python -m tests.unit.drift.page
	$(PYTEST) tests/docs $(ARGS)

soak: setup ## Many minutes of faults, with the books balanced at the end
	$(PYTEST) tests -m soak --timeout=0 $(ARGS)

bench: setup ## Measure throughput and latency on this machine
	$(BIN)/python -m benchmarks $(ARGS)

demo: setup ## Watch one turn of the loop: drift, training, verdict, canary, promotion
	$(BIN)/everloop demo $(ARGS)

up: setup ## Start broker, registry and services on this machine
	$(BIN)/everloop up $(ARGS)

down: setup ## Stop what `make up` started
	$(BIN)/everloop down

lock: setup ## Resolve requirements.lock anew (newest versions: make lock ARGS=--upgrade)
	$(BIN)/uv pip compile --quiet --universal --python-version 3.11 --generate-hashes --all-extras \
		--no-header --no-emit-index-url --no-emit-find-links --no-emit-package everloop \
		--output-file requirements.lock $(ARGS) --group dev $(PROJECTS)

clean: ## Remove the environment and every cache (not var/, which holds data)
	rm -rf $(VENV) .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache .coverage build dist
	find shared services tests -name __pycache__ -type d -prune -exec rm -rf {} +
