# Every target does all the set-up that it needs, on a Linux machine that has Python 3.11 or newer.

CANDIDATES := python3 python3.14 python3.13 python3.12 python3.11
FITS := import sys, venv, ensurepip; sys.exit(sys.version_info < (3, 11))
PYTHON ?= $(shell for python in $(CANDIDATES); do "$$python" -c '$(FITS)' 2>/dev/null && echo "$$python" && break; done)
VENV := .venv
BIN := $(VENV)/bin
LINKS := $(VENV)/links/wardgate
PIP := $(BIN)/python -m pip install --quiet --disable-pip-version-check --retries 10 --timeout 60

.PHONY: venv test test-kernels lint demo gateway-demo bench clean
.NOTPARALLEL:

venv: $(VENV)/.ready

# Checks and tests: their exit status says whether all passed, the last line how many.
test: $(VENV)/.ready
	@bash .ci/checks

# The part of them that boots other kernels, in qemu; needs Debian's archive.
test-kernels: $(VENV)/.ready
	@$(BIN)/python -m pytest tests/kernels $(PYTEST_ARGS)

lint: $(VENV)/.ready
	@bash .ci/checks lint

demo: $(VENV)/.installed
	@$(BIN)/python -m wardgate.cli.demo

# Needs root, and WireGuard: the kernel's or wireguard-go.
gateway-demo: $(VENV)/.gateway
	@$(BIN)/python -m wardgate.cli.demo.gateway

# Needs root. What decisions cost on this machine, into docs/benchmarks.md; QUICK=1: a minute, no page.
bench: $(VENV)/.installed
ifdef QUICK
	@$(BIN)/python -m benchmarks.run --quick $(BENCH_ARGS)
else
	@$(BIN)/python -m benchmarks.run $(BENCH_ARGS)
	@$(BIN)/python -m benchmarks.run --report benchmarks/results.json
endif

clean:
	rm -rf $(VENV) build dist *.egg-info .mypy_cache .ruff_cache .pytest_cache .hypothesis
	find . -name __pycache__ -type d -prune -exec rm -rf {} +

# What `make demo` needs.
$(VENV)/.installed: pyproject.toml
	@if ! "$(PYTHON)" -c '$(FITS)' 2>/dev/null; then \
	  echo "Wardgate needs Python 3.11 or newer with its venv module; tried: $(or $(PYTHON),$(CANDIDATES))." >&2; \
	  echo "Install one (Debian, Ubuntu: apt install python3 python3-venv), or name one: make PYTHON=/path/to/python3 ..." >&2; \
	  exit 2; fi
	@$(BIN)/python -m pip --version >/dev/null 2>&1 || "$(PYTHON)" -m venv $(VENV)
	@for try in 1 2 3; do $(PIP) -e '.[compiler]' && exit 0; sleep 5; done; \
	  echo "pip could not install Wardgate; see its message above." >&2; exit 3
	@touch $@

# What the gateway needs besides.
$(VENV)/.gateway: $(VENV)/.installed
	@for try in 1 2 3; do $(PIP) -e '.[gateway]' && break; [ $$try = 3 ] && exit 3; sleep 5; done
	@touch $@

# What checks and tests need besides. mypy does not follow an editable install, but does these links.
$(VENV)/.ready: $(VENV)/.installed
	@for try in 1 2 3; do $(PIP) -e '.[dev]' && break; [ $$try = 3 ] && exit 3; sleep 5; done
	@mkdir -p $(LINKS)
	@for name in bpf_templates cli compiler gateway runtime; do ln -sfn "../../../$$name" "$(LINKS)/$$name"; done
	@touch $@
