PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin

.PHONY: venv test demo clean

venv: $(VENV)/.ready

$(VENV)/.ready: pyproject.toml
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --retries 10 -e '.[dev]'
	mkdir -p $(VENV)/links/wardgate
	for name in compiler runtime cli bpf_templates; do ln -sfn ../../../$$name $(VENV)/links/wardgate/$$name; done
	touch $@
