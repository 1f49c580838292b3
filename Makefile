# Thin: each target sets up what it needs and calls one command. Arguments: make demo ARGS="--seed 3"
.DEFAULT_GOAL := help
.PHONY: help setup demo test bench lint evaluate benchmark-training

# Set by the ROS wheels in processes they start; here it would keep our own Python from finding its libraries.
unexport _ROS_WHEELS_BOOTSTRAP_COMPLETE

ARGS ?=
PYTHON_VENV := .venv/bin/python

help:
	@echo "make setup   system packages, .venv, ROS 2, messages and the shelfhelp command"
	@echo "make demo    find a product on a simulated shelf over ROS 2 and write a report"
	@echo "make test    everything that tests need, and all tests (installs PyTorch)"
	@echo "make lint    ruff and mypy"
	@echo "make bench   speed, latency and memory on this machine"
	@echo "make benchmark-training  every training method with the same backbone, pictures and steps"
	@echo "make evaluate  every published figure of the networks again, and whether it is as published"

setup:
	@scripts/setup

demo:
	@scripts/setup
	@.venv/bin/shelfhelp demo $(ARGS)

test:
	@scripts/setup test
	@$(PYTHON_VENV) -m pytest -n 2 --dist loadfile --no-loadscope-reorder $(ARGS)

lint:
	@scripts/setup test
	@$(PYTHON_VENV) -m ruff check .
	@$(PYTHON_VENV) scripts/make_stubs.py
	@$(PYTHON_VENV) -m mypy

bench:
	@scripts/setup test
	@.venv/bin/shelfhelp bench $(ARGS)

evaluate:
	@scripts/setup test
	@.venv/bin/shelfhelp-evaluate all $(ARGS)

benchmark-training:
	@scripts/setup test
	@.venv/bin/shelfhelp-evaluate methods $(ARGS)
