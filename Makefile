# make run    the demonstration, from a fresh checkout on
# make test   every check: ruff, mypy, all tests, these in JOBS=2 processes; under ten minutes
# make soak   the long tests, bounded; make fuzz: hypothesis without bounds, for an hour or so
# make bench  benchmarks side by side with the peers that are installed
# make docs   the documentation as HTML; make lint: ruff and mypy alone; make clean

PYTHON ?= python3
JOBS ?= 2
BIN := .venv/bin
STAMP := .venv/installed
TRIAL := PYTHONPATH=. $(BIN)/python -m twisted.trial --temp-directory=_trial_temp

.PHONY: run test lint trial soak fuzz bench docs clean

run: $(STAMP)
	PYTHONPATH=. $(BIN)/twistd -n --pidfile= appliance --demo

test: lint trial

lint: $(STAMP)
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy

trial: $(STAMP)
	$(TRIAL) --jobs=$(JOBS) tests

soak: $(STAMP)
	APPLIANCE_SOAK=1 $(TRIAL) tests.soak

fuzz: $(STAMP)
	HYPOTHESIS_PROFILE=fuzz $(TRIAL) tests.balancing tests.leasing tests.naming tests.nameserver tests.config tests.store tests.ports tests.capacity tests.test_model

bench: $(STAMP)
	PYTHONPATH=. $(BIN)/python benchmarks/answers.py
	PYTHONPATH=. $(BIN)/python benchmarks/tcp.py
	PYTHONPATH=. $(BIN)/python benchmarks/udp.py
	PYTHONPATH=. $(BIN)/python benchmarks/idle.py
	PYTHONPATH=. $(BIN)/python benchmarks/leases.py
	PYTHONPATH=. $(BIN)/python benchmarks/balancing.py
	PYTHONPATH=. $(BIN)/python benchmarks/ports.py
	PYTHONPATH=. $(BIN)/python benchmarks/grants.py
	PYTHONPATH=. $(BIN)/python benchmarks/snapshot.py
	PYTHONPATH=. $(BIN)/python benchmarks/reload.py
	PYTHONPATH=. $(BIN)/python benchmarks/fraction.py
	PYTHONPATH=. $(BIN)/python benchmarks/probes.py

docs: $(STAMP)
	$(BIN)/sphinx-build -W -b html docs docs/_build

clean:
	rm -rf .venv build dist *.egg-info docs/_build _trial_temp* .hypothesis .mypy_cache .ruff_cache
	find . -name __pycache__ -prune -exec rm -rf {} +

# The package itself is used from the checkout, so that an edit counts at once; PYTHONPATH=. is what lets twistd see
# twisted/plugins.  --no-deps with constraints.txt would miss build requirements, so pip resolves and is held to it.
$(STAMP): setup.cfg pyproject.toml constraints.txt
	test -x $(BIN)/python || $(PYTHON) -m venv .venv
	$(BIN)/python -m pip install --quiet --constraint constraints.txt --editable '.[dev,manhole]' --config-settings editable_mode=compat
	touch $(STAMP)
