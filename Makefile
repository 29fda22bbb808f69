# The one door. `make help` lists what it opens; CONTRIBUTING.md says more.
#
# One build profile for everything (--release): dependencies are compiled once for the demo, the tests and
# the package. Bounded times: the whole of `make test` is meant to stay under 30 minutes on two cores.

SHELL := /usr/bin/env bash
.SHELLFLAGS := -euo pipefail -c
.DEFAULT_GOAL := help
.PHONY: help setup build test test-quick lint fuzz bench demo demo-down clean

export AMPGATE_TOOLS ?= $(HOME)/.cache/ampgate-tools

help: ## this list
	@echo "ampgate: the recorded jump to OpenStack's amphorae"; echo
	@awk -F':.*## ' '/^[a-z-]+:.*## / {printf "  make %-12s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

setup: ## install what is missing: packages, tools under $AMPGATE_TOOLS, the corrected russh in vendor/
	@tools/setup

build: setup ## everything, release profile
	@cargo build --release --workspace --all-targets

test: ## lint, unit, loop, fuzz, end to end with real amphorae (needs root); prints times and one total
	@tools/test

test-quick: setup ## without bulk, fuzz and lint: some minutes
	@PARTS="build unit e2e" tools/test

lint: setup ## rustfmt, clippy with every warning an error, cargo-deny
	@tools/lint

fuzz: setup ## every fuzz target for SECONDS each (default 20)
	@tests/fuzz/run $${SECONDS_EACH:-20}

bench: setup ## the speed table, side by side with OpenSSH; ROWS=connect,bulk for some rows only
	@cargo build --release --workspace --bins --examples
	@tests/bench/run

demo: ## two amphorae, a gateway, three recorded sessions, a refusal, a replay; leaves all running
	@tools/demo up

demo-down: ## end the demo and remove all it made
	@tools/demo down

clean: ## build products and the corrected russh
	@rm -rf target vendor
