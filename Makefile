PYTHON    ?= python3
VENV      := .venv
BIN       := $(VENV)/bin
BASE      := $(VENV)/.installed-base
READY     := $(VENV)/.installed
CONSUMERS := .venv-consumers
SMOKE     := .venv-release

.PHONY: demo test test-all consumers check release-check bench docs tutorial gallery cli-reference clean

demo: $(BASE)  ## the whole workflow on handwritten digits: embed, select, train, report
	$(BIN)/embedpipe demo --output demo

test: $(READY)  ## the tests that are not marked slow
	$(BIN)/pytest -n 2 -m "not slow"

test-all: $(READY)  ## every test
	$(BIN)/pytest

consumers: $(CONSUMERS)/.installed  ## test the exchange with Label Studio, FiftyOne, datasets and Avalanche
	$(CONSUMERS)/bin/pytest tests/labels/exchange/test_consumers.py \
		tests/labels/exchange/test_label_studio.py tests/server/test_label_studio_project.py \
		tests/continual/test_avalanche.py tests/continual/test_avalanche_methods.py

check: $(READY)  ## lint, format, types, layers, no circular imports, documentation
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports
	$(BIN)/python .ci/import_graph.py
	$(BIN)/hadolint Dockerfile
	NO_MKDOCS_2_WARNING=1 $(BIN)/mkdocs build --strict

release-check: $(READY)  ## build the wheel and sdist, check them, run the demo in an empty environment
	rm -rf dist $(SMOKE)
	$(BIN)/python -m build --no-isolation --outdir dist
	$(BIN)/twine check --strict dist/*
	$(PYTHON) -m venv $(SMOKE)
	$(SMOKE)/bin/pip install --quiet dist/*.whl
	cd $(SMOKE) && bin/embedpipe --version && bin/embedpipe demo --output demo
	rm -rf $(SMOKE)

bench: $(READY)  ## compare speeds with other libraries, as ratios from one run
	$(BIN)/pip install --quiet --editable ".[bench]"
	$(BIN)/python benchmarks/embedding.py
	$(BIN)/python benchmarks/selection.py
	$(BIN)/python benchmarks/heads.py

docs: cli-reference  ## the documentation site, in build/site; open build/site/index.html
	NO_MKDOCS_2_WARNING=1 $(BIN)/mkdocs build --quiet

tutorial: $(READY)  ## the tutorial, run again to renew its outputs
	$(BIN)/python .ci/run_tutorial.py

gallery: $(READY)  ## the pictures of reports and figures in the gallery; SOURCE=clothing-dataset-small.zip
	$(BIN)/python docs/gallery.py $(if $(SOURCE),--source $(SOURCE))

cli-reference: $(READY)  ## the pages of the commands, generated from the commands
	$(BIN)/python -m embedpipe.cli.reference docs/reference/cli

# Only the packages that embedpipe needs to run.
$(BASE): pyproject.toml
	$(PYTHON) -m venv $(VENV)
	$(BIN)/pip install --quiet --editable .
	touch $@

# Also the packages for the tests and checks.
$(READY): $(BASE)
	$(BIN)/pip install --quiet --editable ".[dev]"
	touch $@

# A separate environment: these programs need other versions of many packages.
$(CONSUMERS)/.installed: pyproject.toml
	$(PYTHON) -m venv $(CONSUMERS)
	$(CONSUMERS)/bin/pip install --quiet --editable ".[avalanche]" pytest datasets label-studio fiftyone
	touch $@

clean:
	rm -rf $(VENV) $(CONSUMERS) $(SMOKE) build demo dist
