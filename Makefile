# `make help` lists the targets. Every environment is a folder here; nothing is installed elsewhere.
PYTHON ?= python3
WORKERS ?= 2
CUDA ?= cuda12
ARGS ?=
TORCH_PYTHON ?=  # another Python with PyTorch, for the benchmarks
MEASURED := accuracy held_out batches models network_stats startup seeds evaluate profile sizes precision effects streaming
MEASURED_ON_GPU := startup seeds evaluate profile sizes precision epoch
TORCH := $(if $(TORCH_PYTHON),--torch-python=$(TORCH_PYTHON))

VENV := .venv
VENV11 := .venv-cuda11
VENV_DOCS := .venv-docs
VENV_FIELD := .venv-cell-eval
VENV_GPU := .venv-$(CUDA)-gpu
VENV_COMPILER := .venv-gpu-compiler
BIN ?= $(VENV)/bin
PINS = $(if $(filter cuda11,$(CUDA)),constraints/cuda11.txt,constraints/current.txt)

export PIP_DISABLE_PIP_VERSION_CHECK := 1

.PHONY: help venv demo test test-fast slow-tests test-cuda11 test-cell-eval endurance lint format docs bench bench-gpu gpu gpu-check gpu-compile test-gpu-form clean
.DEFAULT_GOAL := help

help:  ## list the targets
	@grep -hE '^[a-z0-9-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 14

venv: $(VENV)/.installed  ## make the environment in .venv

demo: venv  ## train on simulated cells, then evaluate: runs/demo/report.html
	rm -rf runs/demo
	$(BIN)/gpo-vae train --preset demo --workdir=runs/demo
	$(BIN)/gpo-vae evaluate --workdir=runs/demo

test: venv  ## run the tests (ARGS='-k name' chooses, WORKERS=4 sets the processes)
	$(BIN)/python -m pytest -n $(WORKERS) --dist loadfile $(ARGS)

test-fast: venv  ## run the tests that take less than a second or two (tests/slow.txt lists the others)
	$(BIN)/python -m pytest -n $(WORKERS) -m 'not slow' $(ARGS)

slow-tests: venv  ## measure which tests are slow, and write tests/slow.txt
	$(BIN)/python -m pytest -n $(WORKERS) --dist loadfile --write-slow

test-cuda11: $(VENV11)/.installed  ## run the same tests on the CUDA 11 versions, on a CPU
	$(VENV11)/bin/python -m pytest -n $(WORKERS) --dist loadfile $(ARGS)

test-cell-eval: $(VENV_FIELD)/.installed  ## run cell-eval and CausalBench on our output, beside our own numbers
	$(VENV_FIELD)/bin/python -m pytest tests/cli/test_predict_for_cell_eval.py tests/test_causalbench.py $(ARGS)

endurance: venv  ## kill trainings at random moments, and damage every file of a run (an hour)
	$(BIN)/python -m tests.endurance.killed $(ARGS)
	$(BIN)/python -m tests.endurance.damaged

lint: venv  ## check style, format and types
	$(BIN)/python -m ruff check .
	$(BIN)/python -m ruff format --check .
	$(BIN)/python -m pyrefly check

format: venv  ## mend style and format
	$(BIN)/python -m ruff check --fix .
	$(BIN)/python -m ruff format .

docs: $(VENV_DOCS)/.installed  ## build the documentation: docs/_build/html/index.html (ARGS=--fresh: anew)
	$(VENV_DOCS)/bin/python scripts/build_docs.py $(ARGS)

bench: venv  ## measure everything on the processor: benchmarks/README.md (an hour; ARGS=--quick: minutes)
	$(foreach name,$(MEASURED),$(BIN)/python -m benchmarks.$(name) $(ARGS) &&) true
	$(BIN)/python -m benchmarks.prepare $(if $(ARGS),$(ARGS),--scrublet=slices)
	$(BIN)/python -m benchmarks.step $(TORCH) $(ARGS)
	$(BIN)/python -m benchmarks.epoch $(ARGS)
	$(BIN)/python -m benchmarks.render

bench-gpu:  ## measure the same on a GPU, PyTorch beside it if BIN or TORCH_PYTHON has it
	$(BIN)/python -m benchmarks.gpu_there
	$(foreach precision,float32 tf32 bf16,\
	  $(BIN)/python -m benchmarks.step --device=cuda --precision=$(precision) $(TORCH) $(ARGS) &&) true
	$(foreach name,$(MEASURED_ON_GPU),$(BIN)/python -m benchmarks.$(name) --device=cuda $(ARGS) &&) true
	$(BIN)/python -m benchmarks.render

gpu: $(VENV_GPU)/.installed  ## install for a GPU (CUDA=cuda11, cuda12, cuda13), then gpu-check
	$(MAKE) gpu-check BIN=$(VENV_GPU)/bin

gpu-check:  ## run the tests and the demo on the GPU with what BIN has installed
	$(BIN)/python -m benchmarks.gpu_there
	JAX_PLATFORMS=cuda,cpu XLA_PYTHON_CLIENT_PREALLOCATE=false $(BIN)/python -m pytest $(ARGS)
	rm -rf runs/demo-gpu
	JAX_PLATFORMS=cuda,cpu $(BIN)/python -m gpo_vae_jax train --preset demo --train.deterministic \
	  --workdir=runs/demo-gpu
	JAX_PLATFORMS=cuda,cpu $(BIN)/python -m gpo_vae_jax evaluate --workdir=runs/demo-gpu

gpu-compile: $(VENV_COMPILER)/.installed  ## compile for GPUs that need not be there, and check what came out
	$(VENV_COMPILER)/bin/python -m benchmarks.gpu_compile $(ARGS)

test-gpu-form: venv  ## run the tests on a CPU in the form that programs take on a GPU
	GPO_VAE_JAX_FORM=gpu $(BIN)/python -m pytest -n $(WORKERS) --dist loadfile $(ARGS)

clean:  ## remove environments and caches; runs/ stays
	rm -rf .venv .venv-* .pytest_cache .ruff_cache .hypothesis build dist
	find . -name __pycache__ -type d -prune -exec rm -rf {} +

# The stamp is written last and taken away first: an interrupted installation starts over.
define install  # (environment, extras, constraints)
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null || { \
	  echo "Python 3.11 or newer is needed; '$(PYTHON)' is $$($(PYTHON) --version 2>&1)." \
	       "Name another: make PYTHON=python3.12 ..." >&2; exit 1; }
	@if [ -f $(1)/.installed ]; then rm $(1)/.installed; else $(PYTHON) -m venv --clear $(1); fi
	@echo "Installing into $(1) (a minute or two)"
	@$(1)/bin/python -m pip install --quiet -e '.[$(2)]' -c $(3)
	@touch $(1)/.installed
endef

$(VENV)/.installed: pyproject.toml constraints/current.txt
	$(call install,$(VENV),dev,constraints/current.txt)

$(VENV11)/.installed: pyproject.toml constraints/cuda11.txt
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info >= (3, 13))' || { \
	  echo "jax 0.4.25 has no wheels for $$($(PYTHON) --version); make PYTHON=python3.12 ..." >&2; exit 1; }
	$(call install,$(VENV11),dev,constraints/cuda11.txt)

# CausalBench's own dependencies are those of its baselines; its evaluator needs none of them.
$(VENV_FIELD)/.installed: pyproject.toml constraints/current.txt
	$(call install,$(VENV_FIELD),test$(comma)analysis,constraints/current.txt)
	@rm $@ && $(VENV_FIELD)/bin/python -m pip install --quiet --no-deps causalbench -c constraints/current.txt
	@touch $@

$(VENV_DOCS)/.installed: pyproject.toml constraints/current.txt
	$(call install,$(VENV_DOCS),docs,constraints/current.txt)

# The compiler alone: no driver, no card, none of CUDA's libraries.
$(VENV_COMPILER)/.installed: pyproject.toml constraints/current.txt
	$(call install,$(VENV_COMPILER),gpu-compiler,constraints/current.txt)

$(VENV_GPU)/.installed: pyproject.toml constraints/current.txt constraints/cuda11.txt
	$(call install,$(VENV_GPU),dev$(comma)$(CUDA),$(PINS))

comma := ,
