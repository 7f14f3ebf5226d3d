# make demo   the whole experiment on the embedded test bed, from a bare clone to the figure
# make test   unit tests, then small real runs of the workflow
# make test-engines   vLLM with the plugin (an environment of its own: .venv-engines, 3.4 GB), on this run's judge
# make test-gpu   unit tests on a GPU, and mining and decoding timed at a real size (15 to 20 minutes; benchmarks/gpu)
# make test-cluster   tests on a real Slurm, started on this machine alone (root, Debian's slurm-wlm and munge)
# make lint   formatters, linters and types
# make envs   after a change of requirements.txt: the environments of envs/ and the locks
# make clean  remove the environment and the tools' caches (not results: some take GPU days)

PYTHON ?= python3
VENV := .venv
ENGINES := .venv-engines
# Not the environment's scripts: their first lines cannot name every folder.
RUN := $(VENV)/bin/python -m
PIP := $(RUN) pip --quiet --quiet --disable-pip-version-check

# Snakemake starts jobs by the name `python`, which must be the environment's.
export PATH := $(CURDIR)/$(VENV)/bin:$(PATH)

.PHONY: demo test test-engines test-gpu test-cluster lint envs clean

demo: $(VENV)/requirements.stamp
	@echo "The whole experiment on the embedded pair: 8 to 12 minutes on two cores. Each job's own words are in logs/."
	@PYTHONPATH=workflow_scripts $(RUN) snakemake --cores all --logger brief
	@echo
	@echo "all results on one page            results/arith/testbed/index.html"
	@echo "figure of accuracy against speed   results/arith_pareto.pdf"
	@echo "the same as a table                results/arith_summary.md"
	@echo "judges compared                    results/arith/testbed/judges.md"
	@echo "every mismatch, token by token     results/arith/testbed/tokens.html"
	@echo "results/README.md explains these and all other files."

# Two test processes share the cores, so each computes with one thread.
test: export OMP_NUM_THREADS = 1
test: $(VENV)/requirements-dev.stamp
	$(RUN) pytest -n 2 tests/unit
	$(RUN) pytest -n 2 --dist loadfile tests/workflow

# The exported judge first: what engines serve is what the workflow makes.
test-engines: export OMP_NUM_THREADS = 1
test-engines: $(VENV)/requirements-dev.stamp $(ENGINES)/requirements.stamp
	PYTHONPATH=workflow_scripts $(RUN) snakemake results/arith/testbed/export/judge.json --cores all --logger brief
	$(RUN) pytest tests/engines

test-gpu: $(VENV)/requirements-dev.stamp
	PYTHON=$(VENV)/bin/python benchmarks/gpu.sh benchmarks/gpu

test-cluster: $(VENV)/requirements-dev.stamp
	tests/cluster/run.sh $(RUN) pytest -n 3 --dist worksteal tests/cluster --ignore tests/cluster/test_restart.py
	tests/cluster/run.sh $(RUN) pytest tests/cluster/test_restart.py

lint: $(VENV)/requirements-dev.stamp
	$(RUN) ruff check
	$(RUN) ruff format --check
	$(RUN) snakefmt --check Snakefile rules workflow
	$(RUN) snakemake --lint
	$(RUN) mypy

envs: $(VENV)/requirements-dev.stamp
	$(VENV)/bin/python envs/write.py

clean:
	rm -rf $(VENV) $(ENGINES) .pytest_cache .mypy_cache .ruff_cache
	find workflow_scripts tests -name __pycache__ -prune -exec rm -rf {} +

$(VENV)/requirements.stamp: requirements.txt
	@case "$$(pwd -P)" in \
	*[{}]*) echo "$$(pwd -P): braces in a path break snakemake; rename the folder" >&2; exit 1;; \
	*:*) echo "$$(pwd -P): Python makes no environment in a path with a colon; rename the folder, or make an environment" \
		"elsewhere (requirements.txt) and call its snakemake" >&2; exit 1;; \
	esac
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || \
		{ echo "Python 3.11 or newer is needed: make PYTHON=/path/to/python3.11 $(MAKECMDGOALS)" >&2; exit 1; }
	@echo "Installing Python packages into $(VENV), once: some minutes, 2 GB, and several GB more where torch comes with CUDA."
	@$(PYTHON) -m venv $(VENV)
	@$(PIP) install -r $<
	@touch $@

$(VENV)/requirements-dev.stamp: requirements-dev.txt $(VENV)/requirements.stamp
	$(PIP) install -r $<
	@touch $@

$(ENGINES)/requirements.stamp: requirements-engines.txt pyproject.toml
	$(PYTHON) -m venv $(ENGINES)
	$(ENGINES)/bin/python -m pip --quiet --disable-pip-version-check install -r $<
	$(ENGINES)/bin/python -m pip --quiet --disable-pip-version-check uninstall --yes torchvision torchaudio torchcodec
	$(ENGINES)/bin/python -m pip --quiet --disable-pip-version-check install --no-deps --editable .
	@touch $@
