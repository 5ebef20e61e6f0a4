# make setup   a virtual environment and the programs that tests use
# make check   what to run before every commit: style, types, architecture, unit tests; a minute
# make test    everything, as on a fresh machine: setup, check's linters, all tests (as root)
# make test-v2  what a machine with cgroup v2 alone and systemd may show otherwise, in a virtual one
# make demo    the story of an image and its containers, from Dockerfile to commit (as root)
# make fuzz    wrong input for all readers, five minutes each (as root); SECONDS=60 for less
# make bench   knarr beside the other engines installed here (as root)
# make clean   remove what the others made in this tree

PATH := /usr/local/sbin:/usr/sbin:/sbin:$(PATH)
BIN = .venv/bin
TESTS = tests

.PHONY: setup venv programs lint check test test-v2 demo bench clean

setup: venv programs

venv:
	@scripts/setup venv

programs:
	@scripts/setup programs

lint: venv
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

check: lint
	$(BIN)/pytest -q tests/architecture tests/unit

test: setup lint
	$(BIN)/pytest -n 2 --dist worksteal $(TESTS)

test-v2: venv
	@tests/vm/run
	@VM_APPEND=security=selinux tests/vm/run tests/integration/test_selinux.py

demo: setup
	@$(BIN)/python examples/demo

fuzz: setup
	KNARR_FUZZ_SECONDS=$(or $(SECONDS),300) $(BIN)/pytest -q -n 2 tests/fuzz

bench: setup
	@$(BIN)/python -m benchmarks

clean:
	rm -rf .venv .pytest_cache .mypy_cache .ruff_cache .hypothesis dist build
	find src tests benchmarks examples -name __pycache__ -prune -exec rm -rf {} +
