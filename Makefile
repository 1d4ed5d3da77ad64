# `make demo`, `make test`, `make docs` and `make benchmark`. Each makes its environment first.
PYTHON ?= python3
# How to get PyTorch and torchvision, which belong together: any requirements and options of pip. The releases that the
# tests pass with.
TORCH ?= torch===2.13.0 torchvision===0.28.0
ENV := .venv
BIN := $(ENV)/bin
RUNS ?= runs/demo
# Prints how many lines of seg_al the tests ran, in the processes of the tests but not in those that a test starts.
COVERED := -m slipcover --source seg_al --skip-covered -m pytest -W ignore::pytest.PytestAssertRewriteWarning

.PHONY: demo test check docs benchmark clean

$(ENV)/installed: pyproject.toml seg_al/predictors/compiled_sums.c
	$(PYTHON) -m venv $(ENV)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check $(TORCH)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --editable ".[test]"
	touch $@

demo: $(ENV)/installed ## random, entropy, bald and a negative control on constructed glands, four paired runs each, and the ceiling
	$(BIN)/python run.py -m -cd experiments -cn demo runs=$(RUNS)
	$(BIN)/python scripts/plot_curves.py $(RUNS) --out $(RUNS)/learning_curves

check: $(ENV)/installed ## lint, format and types
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

test: $(ENV)/installed check ## everything that CI runs
	OMP_NUM_THREADS=1 $(BIN)/python $(COVERED) -n auto --maxprocesses 4 --dist loadfile

$(ENV)/installed-docs: $(ENV)/installed
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --editable ".[docs]"
	touch $@

docs: $(ENV)/installed-docs ## the documents, as pages in site/; a warning is an error
	NO_MKDOCS_2_WARNING=1 $(BIN)/mkdocs build --strict --quiet

benchmark: $(ENV)/installed ## every benchmark anew, into the table of docs/speed.md; half an hour on two cores
	$(BIN)/python scripts/benchmarks.py --page docs/speed.md

clean: ## the environment and the demo's runs; not your data or other runs
	rm -rf $(ENV) runs/demo
