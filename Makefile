# `make demo` and `make test` install what they need into .venv, once, and then do one thing.
PYTHON ?= $(shell for python in python3.11 python3.12 python3; do $$python -c '' 2>/dev/null && echo $$python && break; done)
VENV ?= .venv
READY = $(VENV)/ready

.PHONY: demo test lint clean

demo: $(READY)
	$(VENV)/bin/lensless demo

test: $(READY)
	$(VENV)/bin/python -m pytest

lint: $(READY)
	$(VENV)/bin/python -m ruff check .

clean:
	rm -rf $(VENV) outputs

$(READY): pyproject.toml constraints.txt hatch_build.py
	$(PYTHON) -m venv $(VENV)
	$(VENV)/bin/python -m pip install --upgrade --constraint constraints.txt pip
	$(VENV)/bin/python -m pip install --constraint constraints.txt --editable '.[fast,raw,pyxu]' --group dev
	touch $@
