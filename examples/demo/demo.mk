# The demo and the programs that it runs. The top Makefile includes this file and provides the targets `lib` and `venv`.

EXAMPLES := $(CURDIR)/target/examples

.PHONY: examples demo

examples: lib ## build the example programs in C, C++ and Go, in target/examples
	@$(MAKE) --no-print-directory -C bindings/c/examples OUT=$(EXAMPLES)
	@$(MAKE) --no-print-directory -C bindings/cpp/examples OUT=$(EXAMPLES)
	$(call needs,$(GO),Go)
	cd examples/demo/workers/go && $(GO) build -o $(EXAMPLES)/resume_go .

demo: examples venv ## run the demo: two kills, three languages, no item lost (SEED=n repeats a run, ITEMS=n)
	@TEMPORAL_HEARTBEAT_LIBRARY=$(CURDIR)/target/release/libtemporal_heartbeat.so \
		.venv/bin/python examples/demo/demo.py $(if $(SEED),--seed $(SEED)) $(if $(ITEMS),--items $(ITEMS))
