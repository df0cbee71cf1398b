# `make demo` shows what this is; `make test` checks all of it. Both set up .venv by themselves.

PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
JAZZY := .venv-jazzy
# Relative on purpose: pip splits this variable at spaces, and the path of a checkout may have some.
export PIP_CONSTRAINT := constraints.txt
export PIP_DISABLE_PIP_VERSION_CHECK := 1
# More BLAS threads than cores make small matrices slower, and tests run in parallel.
export OMP_NUM_THREADS ?= 1

# Python of another environment with the rclpy wheels marks its children as set up: ours is not.
ifdef _ROS_WHEELS_BOOTSTRAP_COMPLETE
unexport _ROS_WHEELS_BOOTSTRAP_COMPLETE LD_LIBRARY_PATH
endif

# A change of these needs a new installation; the Python code itself is used where it lies.
SOURCES := setup.py setup.cfg pyproject.toml package.xml constraints.txt \
    $(wildcard scripts/* launch/*.launch.py)

# Live processes on a busy machine: one more try, which pytest reports as a rerun.
LIVE := --reruns 1

.DEFAULT_GOAL := help
.PHONY: help setup demo test test-jazzy test-fast lint format bench clean

help:  ## what there is
	@sed -n 's/^\([a-z-]*\):.*## /  make \1\t/p' $(MAKEFILE_LIST) | expand -t 20

setup: $(VENV)/.all  ## .venv with everything: deployment, training, plots, tools

demo: $(VENV)/.demo  ## set up what a robot needs, then run the main job in simulation
	$(BIN)/sim2real demo $(ARGS)

test: lint  ## lint, types, import contracts, and every test
	$(BIN)/pytest -n 2 --dist loadfile -m "not ros and not launch" $(ARGS)
	$(BIN)/pytest -m "ros or launch" $(LIVE) $(ARGS)

test-jazzy: $(JAZZY)/.all  ## every test again, on the wheels of ROS 2 Jazzy (rclpy 7)
	$(JAZZY)/bin/pytest -n 2 --dist loadfile -m "not ros and not launch" $(ARGS)
	$(JAZZY)/bin/pytest -m "ros or launch" $(LIVE) $(ARGS)

test-fast: $(VENV)/.all  ## the tests that need neither ROS nor patience
	$(BIN)/pytest -n 2 --dist loadfile -m "not ros and not launch and not slow" $(ARGS)

lint: $(VENV)/.all  ## style, types and import contracts
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/codespell
	$(BIN)/mypy
	$(BIN)/lint-imports

format: $(VENV)/.all  ## write the style that lint wants
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

bench: $(VENV)/.all  ## latency through the graph beside a bare relay
	$(BIN)/sim2real bench latency $(ARGS)

clean:  ## remove what make and the tools made; runs/ stays
	rm -rf $(VENV) $(JAZZY) build dist *.egg-info .pytest_cache .mypy_cache .ruff_cache .import_linter_cache \
	    .hypothesis .coverage
	find . -name __pycache__ -type d -not -path './.git/*' -prune -exec rm -rf {} +

# A sourced ROS installation brings rclpy: setup.py then leaves the wheels out.
$(BIN)/python:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' \
	    || { echo "Python 3.11 or newer is needed, $(PYTHON) is older: make PYTHON=python3.12 …"; exit 2; }
	$(PYTHON) -m venv $(if $(ROS_DISTRO),--system-site-packages) $(VENV)

$(VENV)/.demo: $(SOURCES) | $(BIN)/python
	$(BIN)/python -m pip install --quiet --editable '.[view]'
	@touch $@

$(VENV)/.all: $(SOURCES) | $(BIN)/python
	$(BIN)/python -m pip install --quiet --editable '.[train,view,dev]'
	@touch $(VENV)/.demo $@

# The versions of constraints.txt, but for ROS.
$(JAZZY)/.all: export PIP_CONSTRAINT = $(JAZZY)/constraints.txt
$(JAZZY)/.all: $(SOURCES) constraints-jazzy.txt
	@test -z "$(ROS_DISTRO)" || { echo "ROS 2 $(ROS_DISTRO) is sourced, so that 'make test' tests it:" \
	    "run this in a shell without"; exit 2; }
	test -x $(JAZZY)/bin/python || $(PYTHON) -m venv $(JAZZY)
	grep -v '^ros-' constraints.txt | cat - constraints-jazzy.txt > $(PIP_CONSTRAINT)
	$(JAZZY)/bin/python -m pip install --quiet --editable '.[train,view,dev]'
	@touch $@
