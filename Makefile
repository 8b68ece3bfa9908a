# `make demo` and `make test` are all a newcomer needs; each makes .venv by itself.

PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
INSTALL := $(BIN)/python -m pip install --quiet --disable-pip-version-check --constraint constraints.txt
SOURCES := __init__.py errors.py engine reducers store tools tests
WORKERS ?= 2
TESTS ?=

.PHONY: demo test a2a-js crash campaign mutations check bench format clean

demo: $(VENV)/installed
	@$(BIN)/threadlog demo

# File by file: what a file shares among its tests, a server or a demo, is made once. Compiled first, and so not
# in each of the hundreds of processes that the tests start, also where PYTHONDONTWRITEBYTECODE is set.
test: $(VENV)/developing
	$(BIN)/python -m compileall -q $(SOURCES)
	$(BIN)/python -m pytest -n $(WORKERS) --dist loadfile $(TESTS)

# The JavaScript SDK of the A2A protocol against our server. Needs node 20 and npm; no lock file names a registry.
a2a-js: $(VENV)/developing
	cd tests/a2a_js && npm install --no-package-lock --no-audit --no-fund --silent
	cd tests/a2a_js && THREADLOG=$(CURDIR)/$(BIN)/threadlog npm test --silent

# Many processes and hundreds of kills: minutes, where `make test` spends seconds.
crash: $(VENV)/developing
	THREADLOG_LONG=1 $(BIN)/python -m pytest --all tests/store/test_processes.py tests/engine/control/test_processes.py \
		tests/engine/remote/test_crash.py tests/engine/delegation/test_processes.py

# Logs are hurt in every way there is: about two hours. PARTS="power flips" runs those only; THREADLOG_SEED repeats one.
campaign: $(VENV)/developing
	PYTHONPATH=tests $(BIN)/python -m campaign $(PARTS)

# Faults are put into the code, one at a time, and the tests named for each must fail: minutes.
mutations: $(VENV)/developing
	PYTHONPATH=tests $(BIN)/python -m campaign.mutants.mutation

bench: $(VENV)/developing
	$(BIN)/python -m threadlog.tools.bench

# On a regular install: what is typed and tested is what a user gets. The tests are typed from within their folder:
# from here `engine` would be the package, not the folder of its tests.
check: $(VENV)/developing
	rm -rf build
	$(INSTALL) --force-reinstall --no-deps .
	$(BIN)/ruff format --check $(SOURCES)
	$(BIN)/ruff check $(SOURCES)
	$(BIN)/mypy --strict -p threadlog
	cd tests && ../$(BIN)/mypy --config-file ../pyproject.toml --cache-dir ../.mypy_cache --strict \
		--explicit-package-bases .
	$(BIN)/pyright --pythonpath $(BIN)/python
	$(MAKE) test TESTS=--all
	$(INSTALL) --no-deps --editable .

format: $(VENV)/developing
	$(BIN)/ruff format $(SOURCES)
	$(BIN)/ruff check --fix $(SOURCES)

$(VENV)/installed: pyproject.toml constraints.txt
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --upgrade "pip>=25.1"
	$(INSTALL) --editable ".[a2a]"
	touch $@

$(VENV)/developing: $(VENV)/installed
	$(INSTALL) --group dev
	touch $@

clean:
	rm -rf $(VENV) build threadlog-demo* *.egg-info .mypy_cache .pytest_cache .ruff_cache .hypothesis
