# OmniSIFT Live: every command a newcomer needs. Each one sets up what it lacks.
IS_SUPPORTED := import sys; sys.exit(not (3, 11) <= sys.version_info < (3, 13))
PYTHON ?= $(shell for p in python3.12 python3.11 python3; do \
  $$p -c '$(IS_SUPPORTED)' 2>/dev/null && command -v $$p && break; done)
PY := .venv/bin/python
# where torch's wheels come from; unset: the package index, whose build for Linux carries CUDA (GBs)
TORCH_INDEX ?=
export RAY_USAGE_STATS_ENABLED = 0
export TOKENIZERS_PARALLELISM = false
export NO_MKDOCS_2_WARNING = 1

.PHONY: help demo serve test long fuzz chaos check docs docs-serve screenshot format system clean

help:            ## list the commands
	@grep -hE '^[a-z]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:.*## */\t/' | expand -t 12

.venv/ready: pyproject.toml constraints.txt
	@test -n "$(PYTHON)" && $(PYTHON) -c '$(IS_SUPPORTED)' || \
	  { echo "OmniSIFT Live needs Python 3.11 or 3.12. Install one, or: make PYTHON=/path/to/python3.12" >&2; exit 1; }
	@echo "setting up .venv (first time only, a few minutes)"
	$(PYTHON) -m venv .venv
	$(PY) -m pip install -q --disable-pip-version-check -c constraints.txt \
	  $(if $(TORCH_INDEX),--index-url $(TORCH_INDEX)) torch
	$(PY) -m pip install -q --disable-pip-version-check -c constraints.txt -e '.[dev]'
	@touch $@

system:          ## what the tests need from the system: redis-server, Chromium, espeak-ng
	@sh .ci/system-packages

demo: .venv/ready    ## a live stream from camera to answer on this machine, then exit
	$(PY) -m service demo

chaos: .venv/ready   ## kill parts of the service under live streams; CHAOS="--kills 60" and the like
	$(PY) -m chaos $(CHAOS)

serve: .venv/ready   ## the service on http://127.0.0.1:8000
	$(PY) -m service serve

check: .venv/ready   ## format, lint, types, import contracts, the documentation site
	$(PY) -m ruff format --check .
	$(PY) -m ruff check .
	$(PY) -m mypy
	.venv/bin/lint-imports
	$(PY) -m mkdocs build -q --strict
	@.ci/audit $(PY)

docs: .venv/ready    ## the documentation as a site, in artifacts/site
	$(PY) -m mkdocs build -q --strict
	@echo "open artifacts/site/index.html, or: make docs-serve (with search)"

docs-serve: .venv/ready  ## the same on http://127.0.0.1:8088, made again as pages change
	$(PY) -m mkdocs serve -q --strict -a 127.0.0.1:8088

test: check system   ## everything: unit, real Redis, real Ray cluster, WebRTC peers, Chromium
	$(PY) -m pytest -n 2 --dist loadgroup --no-loadscope-reorder

long: .venv/ready system ## the tests that `test` leaves out for their length: faults, updates, scaling
	$(PY) -m pytest -m long

screenshot: .venv/ready system   ## take the README's picture of the page again
	$(PY) -m pytest -q tests/integration/test_browser.py -k pictures
	cp artifacts/screenshot.png docs/screenshot.png

fuzz: .venv/ready    ## ten thousand requests, good and bad, against the running service
	$(PY) -m tests.fuzz

format: .venv/ready  ## rewrite the sources in the house format
	$(PY) -m ruff format .
	$(PY) -m ruff check --fix .

clean:           ## remove what was set up
	rm -rf .venv .mypy_cache .ruff_cache .pytest_cache
