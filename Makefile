# One vocabulary for people, hooks and workflows. Every target that needs packages makes .venv first.
.DEFAULT_GOAL := help
SHELL := /bin/bash
PYTHON ?= python3.11
UV_VERSION := 0.13.9
export UV_CACHE_DIR ?= $(HOME)/.cache/ontime/uv
# a busy machine needs more than the minute that uv gives a file
export UV_COMPILE_BYTECODE_TIMEOUT ?= 600
export PATH := $(CURDIR)/.venv/bin:$(PATH)
UV := .venv/bin/uv
BASE ?= origin/main
BENCHMARKS := features gate own_tables pipeline scoring serving tidymodels_recipe

.PHONY: help setup setup-spark requirements repro test lint verify s3 mlflow serve image manifests pull-request release rehearsal bench clean

help: ## this list
	@grep -hE '^[a-z0-9-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:[^#]*##/\t/' | expand -t 16

setup: .venv/.ready ## make .venv from the locks

.venv/.ready: pyproject.toml requirements.txt requirements-test.txt
	$(PYTHON) -m venv .venv
	.venv/bin/python -m pip install --quiet --disable-pip-version-check uv==$(UV_VERSION)
	$(UV) pip install --quiet --python .venv --compile-bytecode --require-hashes -r requirements.txt -r requirements-test.txt
	$(UV) pip install --quiet --python .venv --no-deps --editable .
	@# relative: under LC_ALL=C Python cannot read another folder's name than one in ASCII there
	for path in .venv/lib/python3*/site-packages/*ontime.pth; do echo ../../../../src > "$$path"; done
	touch $@

setup-spark: setup ## add pyspark for engine.backend: spark (needs Java 17)
	$(UV) pip install --quiet --python .venv --compile-bytecode --require-hashes -r requirements-spark.txt

requirements: setup ## remake the locks from pyproject.toml
	$(UV) pip compile --quiet --generate-hashes --no-header --no-annotate --python-version 3.11 --extra pipeline pyproject.toml -o requirements.txt
	$(UV) pip compile --quiet --generate-hashes --no-header --no-annotate --python-version 3.11 --extra pipeline --extra serving --extra release --extra verification --extra test -c requirements.txt pyproject.toml -o requirements-test.txt
	$(UV) pip compile --quiet --generate-hashes --no-header --no-annotate --python-version 3.11 --extra serving -c requirements-test.txt pyproject.toml -o deployment/docker/requirements.txt
	$(UV) pip compile --quiet --generate-hashes --no-header --no-annotate --python-version 3.11 deployment/tools/requirements.in -o deployment/tools/requirements.txt
	$(UV) pip compile --quiet --generate-hashes --no-header --no-annotate --python-version 3.11 --extra pipeline --extra spark -c requirements.txt pyproject.toml -o requirements-spark.txt

repro: setup ## run what changed of the graph: raw tables to champion
	ontime lock
	dvc repro
	ontime track
	ontime lock --compare

test: setup ## the fast tests and those that start real servers
	pytest -n 2 --dist loadgroup -m "not rehearsal"

lint: setup ## format, lint, types and which room may import which
	ruff format --check .
	ruff check .
	mypy
	lint-imports --no-logo

verify: setup ## prove that dvc.lock is what the code produces, in changed environments
	ontime verify

s3: setup ## start an S3 server on loopback and point .dvc/config.local at it
	ontime s3

mlflow: setup ## open the tracking user interface
	mlflow ui --backend-store-uri sqlite:///mlflow.db --host 127.0.0.1 --port 5000

serve: setup ## sign the champion with a key of this checkout and serve it on port 8080
	ontime sign --new-key
	ONTIME_SERVICE_PUBLIC_KEY=.keys/model.pub ontime serve

image: setup ## sign the champion with a key of this checkout and build the service's image
	ontime sign --new-key
	ontime image

manifests: setup ## render, validate and lint what Argo CD applies
	ontime manifests

pull-request: setup ## what a pull request must pass against BASE: the proof of dvc.lock, then the gate
	ontime lock
	base=$$(git merge-base $(BASE) HEAD) && told=$$(ontime proof --base "$$base" --output report $(PROOF)) && echo "$$told" && \
	case "$$told" in "no pipeline file differs"*) ;; *) ontime report --base "$$base" --output report $(if $(IMAGE_URL),--image-url $(IMAGE_URL)) || status=1 ;; esac && \
	ontime manifests --base "$$base" --output report && exit $${status:-0}

release: setup ## what a release starts with: this commit's model, by its lock, from the remote
	dvc pull models/champion
	ontime proof

rehearsal: setup ## the whole loop on a throw-away cluster of this machine, as root; ONTIME_REHEARSAL_FULL=1: all of it, at its own pace
	pytest -s -m "rehearsal $(if $(filter 1,$(ONTIME_REHEARSAL_FULL)),,and not thorough)" tests/rehearsal/test_loop.py

bench: setup ## the benchmarks, each against a named rival in the same run
	status=0; for name in $(BENCHMARKS); do python -m benchmarks.$$name || status=1; done; exit $$status

clean: ## remove what can be made again
	rm -rf .venv .pytest_cache .ruff_cache .mypy_cache .import_linter_cache dvc_plots
