# Commands for a machine that has Python (3.11 or later) and make, and nothing else.
#
#   make demo    the main job: the retry_storm scenario and its summary
#   make test    all tests
#   make check   style, types and contract (of imports); each is a target of its own
#   make fix     let ruff mend what it can
#   make bench   the benchmark, as ratios from one run; fails when a target is missed
#   make conformance        every body on the simulation and on real servers, and 1355 generated programs
#   make conformance-quick  the fast part of it and some programs, three minutes at most
#   make clean   remove everything that the above made
#
# Variables: PYTHON=python3.12, WORKERS=2 (processes of the test run), ARGS="-k retry" (for pytest).
#
# The real servers are Debian's rabbitmq-server and redis-server; what does not run on loopback is started, and
# what is not installed is skipped by name.  TQSIM_RABBITMQ=amqp://user:password@host:port/vhost in the
# environment names a RabbitMQ of another version, and TQSIM_RABBITMQ=own starts one in any case.

PYTHON ?= python3
WORKERS ?= auto
ARGS ?=

VENV := .venv
BIN := $(VENV)/bin
PIP := $(BIN)/python -m pip --disable-pip-version-check install --quiet
SOURCES := tqsim pytest_plugin scenarios tests setup.py
# These tests wait more than they work.
CONFORMANCE := $(BIN)/python -m pytest tests/conformance -n $(WORKERS:auto=4)
PROJECT := pyproject.toml setup.py

.PHONY: demo test check style types contract fix bench conformance conformance-quick clean
.DELETE_ON_ERROR:

demo: $(VENV)/stamp-run
	$(BIN)/tqsim run retry_storm

test: $(VENV)/stamp-test
	$(BIN)/python -m pytest -n $(WORKERS) $(ARGS)

# Three targets, so that `make -k check` shows what each of them finds.
check: style types contract

style: $(VENV)/stamp-dev
	$(BIN)/ruff check $(SOURCES)
	$(BIN)/ruff format --check $(SOURCES)

types: $(VENV)/stamp-dev build/types/tqsim_scenarios
	$(BIN)/mypy

contract: $(VENV)/stamp-dev
	$(BIN)/lint-imports --no-logo

fix: $(VENV)/stamp-dev
	$(BIN)/ruff check --fix $(SOURCES)
	$(BIN)/ruff format $(SOURCES)

bench: $(VENV)/stamp-test
	$(BIN)/python -m tests.benchmarks.run

conformance: $(VENV)/stamp-test
	$(CONFORMANCE) -m "not bench" --broker-programs 500 --celery-programs 40 $(ARGS)

conformance-quick: $(VENV)/stamp-test
	$(CONFORMANCE) -m "conformance and (programs or not slow)" $(ARGS)

clean:
	rm -rf $(VENV) build dist *.egg-info .coverage .coverage.* htmlcov coverage.xml
	rm -rf .hypothesis .import_linter_cache .mypy_cache .pytest_cache .ruff_cache
	find $(SOURCES) -name __pycache__ -type d -prune -exec rm -rf {} +

# A stamp stands for a finished step, so that an interrupted one is done again.  The larger
# installations contain the smaller ones.

$(VENV)/stamp-venv:
	@$(PYTHON) -c 'import sys; sys.exit(0 if sys.version_info >= (3, 11) else "tqsim needs Python 3.11 or later, and $(PYTHON) is %d.%d: say make PYTHON=python3.12 ..." % sys.version_info[:2])'
	rm -rf $(VENV)
	$(PYTHON) -m venv $(VENV)
	@touch $@

$(VENV)/stamp-run: $(VENV)/stamp-venv $(PROJECT)
	$(PIP) --editable .
	@touch $@

$(VENV)/stamp-test: $(VENV)/stamp-venv $(PROJECT)
	$(PIP) --editable ".[test]"
	@touch $(VENV)/stamp-run $@

$(VENV)/stamp-dev: $(VENV)/stamp-venv $(PROJECT)
	$(PIP) --editable ".[dev]"
	@touch $(VENV)/stamp-run $(VENV)/stamp-test $@

# mypy finds the gallery by its import name.
build/types/tqsim_scenarios:
	@mkdir -p build/types
	ln -sfn ../../scenarios $@
