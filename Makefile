# Everything a desk and CI do, by the same words. `make` alone tells which.

SHELL := /bin/bash
.SHELLFLAGS := -eu -o pipefail -c
.DELETE_ON_ERROR:
.DEFAULT_GOAL := help

VENV ?= .venv
BIN := $(VENV)/bin
PYTHON := $(BIN)/python
PIP := $(PYTHON) -m pip --quiet --disable-pip-version-check
LOCKS := requirements/runtime.lock requirements/build.lock
DEV_LOCKS := $(LOCKS) requirements/dev.lock
UV_COMPILE = $(BIN)/uv pip compile --quiet --universal --generate-hashes --python-version 3.11 \
	--custom-compile-command "make lock" $(UPGRADE)
DEBIAN_PACKAGES := curl openssl strongswan-pki libstrongswan-standard-plugins \
	libstrongswan-extra-plugins postgresql nginx-light haproxy
CLIENTS := curl:curl openssl:openssl pki:strongswan-pki initdb:postgresql \
	nginx:nginx-light haproxy:haproxy

# Arguments for the command behind a target: make test ARGS='-k renewal -x'
ARGS ?=
# make lock UPGRADE=--upgrade takes the newest versions; without it, pins are kept where they fit.
UPGRADE ?=

.PHONY: help env dev run test check format lint types walls smoke bench soak lock clean clients

help: ## Tell what there is to make
	@grep -hE '^[a-z]+:.*## ' $(firstword $(MAKEFILE_LIST)) \
		| awk -F ':.*## ' '{ printf "  make %-8s %s\n", $$1, $$2 }'
	@echo "  ARGS='...' is passed on by run, test, bench and soak."

run: env ## Serve from ./enroll-home, made with a demo device if there is none
	@exec $(BIN)/enroll run $(ARGS)

test: clients dev ## Everything that CI runs: check, the wheel, all tests
	@$(MAKE) --no-print-directory check
	@$(MAKE) --no-print-directory smoke
	@$(PYTHON) -m pytest $(ARGS)

check: dev ## Format, lint, types and walls, without running anything
	@$(MAKE) --no-print-directory --keep-going format lint types walls

format:
	@$(BIN)/ruff format --check --quiet . \
		|| { echo "format: run '$(BIN)/ruff format .'" >&2; exit 1; }
	@echo "format: as it should be"

lint:
	@$(BIN)/ruff check --quiet .
	@echo "lint: clean"

types:
	@$(PYTHON) -m mypy --no-error-summary
	@$(PYTHON) -m mypy --no-error-summary openssl-fixtures/generate.py
	@echo "types: they hold"

walls:
	@out=$$($(BIN)/lint-imports 2>&1) || { echo "$$out" >&2; exit 1; }; \
	echo "walls: $$(tail -n 1 <<<"$$out")"

bench: dev ## Measure throughput and latency
	@exec $(PYTHON) -m benchmarks $(ARGS)

soak: dev ## Run the long experiments
	@exec $(PYTHON) -m tests.soak $(ARGS)

smoke: dev ## Build the wheel and try it in an empty environment
	@work=$$(mktemp -d); trap 'rm -rf "$$work"' EXIT; \
	wheel_python="$$work/venv/bin/python"; \
	$(PYTHON) -m build --wheel --no-isolation --outdir "$$work" . >"$$work/build.log" 2>&1 \
		|| { cat "$$work/build.log" >&2; exit 1; }; \
	$(PYTHON) -m venv "$$work/venv"; \
	"$$wheel_python" -m pip --quiet --disable-pip-version-check install --require-hashes \
		-r requirements/runtime.lock; \
	"$$wheel_python" -m pip --quiet --disable-pip-version-check install --no-deps --no-index \
		"$$work"/*.whl; \
	cd "$$work"; \
	venv/bin/enroll --version; \
	"$$wheel_python" -I -c 'import enroll, server.fence; server.fence.check_packages(); \
		assert "site-packages" in enroll.__file__, enroll.__file__'; \
	echo "wheel: built, installed alone, its five packages are siblings"

env: $(VENV)/.installed ## Make .venv with what the server needs

dev: $(VENV)/.dev ## Make .venv with what developers need

lock: dev ## Pin all dependencies anew, with hashes (UPGRADE=--upgrade: newest versions)
	@$(UV_COMPILE) --output-file requirements/runtime.lock pyproject.toml
	@printf 'hatchling>=1.33\neditables>=0.5\n' | $(UV_COMPILE) --no-annotate \
		--constraint requirements/runtime.lock --output-file requirements/build.lock -
	@$(UV_COMPILE) --group dev --constraint requirements/runtime.lock \
		--constraint requirements/build.lock --output-file requirements/dev.lock pyproject.toml
	@! grep -nE '://|find-links|index-url' requirements/*.lock \
		|| { echo "a lock names an address; compile without index settings" >&2; exit 1; }

clean: ## Remove the environment, caches and build results (never ./enroll-home)
	rm -rf $(VENV) build dist .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache
	rm -rf .coverage .coverage.* *.egg-info
	find enroll ca registry protocols server tests benchmarks openssl-fixtures \
		-name __pycache__ -type d -prune -exec rm -rf {} +

# A changed lock gets a fresh environment: a package that left the lock leaves the desk too.
$(VENV)/.runtime: $(LOCKS)
	@python=$$($(FIND_PYTHON)); echo "environment: $$($$python --version) in $(VENV)"; \
	$$python -m venv --clear $(VENV)
	@$(PIP) install --require-hashes $(addprefix -r ,$(LOCKS))
	@touch $@

# Editable, so that the checkout is what runs; again when pyproject.toml may name other commands.
$(VENV)/.installed: $(VENV)/.runtime pyproject.toml
	@$(PIP) install --no-deps --no-build-isolation --no-index --editable .
	@touch $@

$(VENV)/.dev: $(VENV)/.installed requirements/dev.lock
	@echo "environment: adding the tools of developers"
	@$(PIP) install --require-hashes $(addprefix -r ,$(DEV_LOCKS))
	@touch $@

# Prints the first Python that is new enough and can make environments. Debian keeps the latter in
# a package of its own (python3-venv); root may have it installed, anyone else is told its name.
define FIND_PYTHON
usable() { "$$1" -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null; }; \
whole() { "$$1" -c 'import venv, ensurepip' 2>/dev/null; }; \
found=; \
for each in python3.13 python3.12 python3.11 python3; do \
	command -v "$$each" >/dev/null && usable "$$each" || continue; \
	found=$${found:-$$each}; \
	if whole "$$each"; then echo "$$each"; exit 0; fi; \
done; \
if [ -z "$$found" ]; then \
	echo "make: there is no Python 3.11 or newer here; as root: apt-get install python3 python3-venv" >&2; \
	exit 1; \
fi; \
package=$$("$$found" -c 'import sys; print("python%d.%d-venv" % sys.version_info[:2])'); \
if [ "$$(id -u)" = 0 ] && command -v apt-get >/dev/null; then \
	echo "environment: installing $$package" >&2; \
	export DEBIAN_FRONTEND=noninteractive; \
	{ apt-get -qq update && apt-get -qq -y install --no-install-recommends "$$package"; } >&2 || true; \
fi; \
if whole "$$found"; then echo "$$found"; exit 0; fi; \
echo "make: $$found cannot make environments; as root: apt-get install $$package" >&2; \
exit 1
endef

# Tests skip, by name, what a missing program would have shown: here it is only said beforehand.
# Debian keeps PostgreSQL's own programs off the path.
clients:
	@missing() { PATH="$$PATH:$$(echo /usr/lib/postgresql/*/bin | tr ' ' ':')"; \
		for each in $(CLIENTS); do \
		command -v "$${each%%:*}" >/dev/null || echo "$$each"; done; }; \
	if [ -n "$$(missing)" ] && [ "$$(id -u)" = 0 ] && command -v apt-get >/dev/null; then \
		echo "clients: installing $(DEBIAN_PACKAGES)"; \
		export DEBIAN_FRONTEND=noninteractive; \
		{ apt-get -qq update && apt-get -qq -y install --no-install-recommends \
			$(DEBIAN_PACKAGES); } </dev/null >/dev/null 2>&1 || true; \
	fi; \
	for each in $$(missing); do \
		echo "clients: no $${each%%:*}, its tests will be skipped; as root: apt-get install $${each##*:}"; \
	done
