# Everything that a contributor or a CI needs; `make` alone lists the targets.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
UV := $(BIN)/uv
READY := $(VENV)/.ready
MNIST := examples/image_classifier/mnist
export UV_COMPILE_BYTECODE := 1

.DEFAULT_GOAL := help
.PHONY: help env demo serve test check bench docs testdocs dist lock clean

help:  ## list the targets
	@grep -hE '^[a-z]+:.*## ' $(MAKEFILE_LIST) | awk -F ':.*## ' '{printf "make %-8s %s\n", $$1, $$2}'

env: $(READY)  ## set up .venv: Python packages, mar and its plugins, ready to use

$(UV):
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet uv

$(READY): $(UV) requirements/dev.txt requirements/torchserve.txt requirements/clients.txt requirements/servers.txt pyproject.toml $(wildcard plugins/*/pyproject.toml)
	$(UV) pip install --quiet -r requirements/dev.txt
	$(UV) pip install --quiet --no-deps --no-build-isolation -e . $(addprefix -e ,$(wildcard plugins/*))
	$(UV) pip install --quiet --no-deps --target $(VENV)/torchserve -r requirements/torchserve.txt
	$(UV) pip install --quiet --no-deps --target $(VENV)/clients -r requirements/clients.txt
	$(UV) pip install --quiet --no-deps --target $(VENV)/servers -r requirements/servers.txt
	@touch $@

demo: env  ## archive the MNIST example and run it on real digits
	@$(BIN)/python $(MNIST)/demo.py

serve: env  ## serve the MNIST example on http://127.0.0.1:8080
	@test -e build/demo/mnist.mar || $(BIN)/python $(MNIST)/demo.py
	@$(BIN)/mar serve build/demo/mnist.mar

test: env  ## run every test
	$(BIN)/python -m pytest -n 2 --dist loadgroup

check: env  ## format, lint, types, architecture
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/python -m pytest -q tests/guard

bench: env  ## measure against the named opponents and print the tables
	@$(BIN)/python benchmarks/all.py

docs: env  ## build the site of the documentation into build/site
	NO_MKDOCS_2_WARNING=1 $(BIN)/mkdocs build --quiet
	@echo "open build/site/index.html"

testdocs: env  ## run the code in README and docs, and check the site
	$(BIN)/python -m pytest -q tests/docs

dist: env $(VENV)/twine  ## build every distribution into dist/, and check it as the release does
	PYTHONPATH=$(VENV)/twine $(BIN)/python .ci/dist.py dist

$(VENV)/twine: $(UV) requirements/dist.txt
	$(UV) pip install --quiet --target $@ -r requirements/dist.txt
	@touch $@

lock: $(UV)  ## compile requirements/*.txt again
	$(UV) pip compile --quiet --upgrade --no-emit-index-url --no-header --python-version 3.11 requirements/dev.in -o requirements/dev.txt
	$(UV) pip compile --quiet --upgrade --no-emit-index-url --no-header --python-version 3.11 requirements/dist.in -o requirements/dist.txt

clean:  ## remove .venv and everything built
	rm -rf $(VENV) build dist $(MNIST)/mnist_cnn.pt $(MNIST)/digits
