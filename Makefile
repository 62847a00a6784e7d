# Everything a person does here; `make help` lists it.

SHELL := /bin/sh
.DEFAULT_GOAL := help
.DELETE_ON_ERROR:

PYTHON ?= python3
BIN := .venv/bin
STAMP := .venv/.installed
PYTEST := $(BIN)/python -m pytest

.PHONY: help
help: ## list what there is to make
	@awk -F ':.*## ' '/^[a-z0-9-]+:.*## / { printf "  make %-12s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

.PHONY: install
install: $(STAMP) ## make the virtual environment .venv with everything in it

# pip alone, so that nothing but Python is needed; --no-deps: the lock names all there is.
$(STAMP): requirements.lock pyproject.toml
	@$(PYTHON) -c 'import sys; sys.exit("Python 3.11 or newer is needed, this is " + sys.version.split()[0] if sys.version_info < (3, 11) else 0)'
	test -x $(BIN)/python || $(PYTHON) -m venv .venv
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps -r requirements.lock
	touch $(STAMP)

.PHONY: demo
demo: install ## two real Milvus on this machine, replicated and compared (QUEUE=kafka or pulsar, KEEP=1)
	$(BIN)/python -m deploy.demo

# The Procfile's commands find their programs as in production.
run worker: export PATH := $(CURDIR)/$(BIN):$(PATH)

.PHONY: run
run: install ## web, a worker and Flower with the settings of .env, until Ctrl-C
	$(BIN)/honcho start

.PHONY: worker
worker: install ## one more worker, until Ctrl-C
	$(BIN)/honcho start worker

.PHONY: servers
servers: install ## a source, a standby, Redis (QUEUE=natsmq, or with a broker kafka, pulsar) until Ctrl-C, with their settings
	$(BIN)/python -m deploy.local up --queue $(or $(QUEUE),rocksmq)

.PHONY: test
test: install ## all tests that this machine can run; CI=1 makes a missing server a failure
	$(PYTEST)

.PHONY: unit contract integration e2e
unit: install ## tests without I/O
	$(PYTEST) -m unit
contract: install ## one suite per Protocol, on the memory twin and on the real thing
	$(PYTEST) -m contract
integration: install ## tests with real servers
	$(PYTEST) -m integration
e2e: install ## whole runs
	$(PYTEST) -m e2e

.PHONY: chaos
chaos: install ## tests with real servers and real kills, hangs and cut wires: all, `make test` has the short ones
	CDC_TEST_CHAOS=full $(PYTEST) -m chaos

.PHONY: soak
soak: install ## random scripts with kills and pauses: 20 on Kafka, 5 on RocksMQ, 5 on Pulsar (an hour; SEEDS=7 for one)
	CDC_TEST_STEPS=200 CDC_TEST_QUEUES=kafka CDC_TEST_SEEDS=$(or $(SEEDS),1-20) $(PYTEST) tests/chaos/test_soak.py
	CDC_TEST_STEPS=200 CDC_TEST_QUEUES=rocksmq CDC_TEST_SEEDS=$(or $(SEEDS),1-5) $(PYTEST) tests/chaos/test_soak.py
	CDC_TEST_STEPS=200 CDC_TEST_QUEUES=pulsar CDC_TEST_SEEDS=$(or $(SEEDS),1-5) $(PYTEST) tests/chaos/test_soak.py

.PHONY: bench
bench: install ## throughput, latency, idle cost; tables here, JSON in bench/results
	$(BIN)/python -m bench

.PHONY: scale
scale: install ## 1,000 vchannels over 4 workers (VCHANNELS=2000 WORKERS=8 BUSY=500), source and target simulated
	$(BIN)/python -m bench scale --vchannels $(or $(VCHANNELS),1000) --workers $(or $(WORKERS),4) --busy $(or $(BUSY),50)

.PHONY: lint
lint: install ## ruff's rules and format, the rules of who imports whom
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/lint-imports

.PHONY: type
type: install ## mypy --strict
	$(BIN)/mypy

.PHONY: format
format: install ## write the code as ruff formats it
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

.PHONY: lock
lock: install ## requirements.lock from pyproject.toml
	$(BIN)/python -m pip install --quiet --disable-pip-version-check uv
	$(BIN)/uv pip compile pyproject.toml --universal --group dev --python-version 3.11 --no-header --no-annotate -o requirements.lock

# The generator is older than the runtime on purpose, see the .proto; it wants an environment of its own.
.PHONY: proto
proto: ## cdc_core/codec/etcd_records_pb2.py from its .proto
	test -x .cache/proto/bin/python || $(PYTHON) -m venv .cache/proto
	.cache/proto/bin/python -m pip install --quiet --disable-pip-version-check 'grpcio-tools==1.66.*' 'setuptools<81'
	.cache/proto/bin/python -W ignore -m grpc_tools.protoc -I. --python_out=. --pyi_out=. cdc_core/codec/etcd_records.proto

.PHONY: clean
clean: ## remove what was made here, the virtual environment too
	rm -rf .venv .cache .local .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache
