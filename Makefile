# temporal-heartbeat. `make help` lists what there is.

LIB     := $(CURDIR)/target/release/libtemporal_heartbeat.so
PYTHON  ?= python3
VENV    := .venv
CARGO   ?= cargo

# The soname carries the ABI's major version. `nodelete` because the library's thread runs its code: dlclose must not take
# that away.
LINK    := -C link-arg=-Wl,-soname,libtemporal_heartbeat.so.0 -C link-arg=-Wl,-z,nodelete

.PHONY: help lib header
.DEFAULT_GOAL := lib

help: ## this list
	@awk -F ':.*## ' '/^[a-z-]+:.*## / {printf "  make %-12s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

lib: ## the shared and the static library, in target/release
	$(CARGO) rustc --release --lib --crate-type cdylib,staticlib -- $(LINK)

header: ## write include/temporal_heartbeat.h anew from src/abi
	THB_UPDATE_HEADER=1 $(CARGO) test --quiet --test abi the_header_is_the_one
