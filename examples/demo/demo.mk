# Included by the top Makefile, which has the targets `lib` and `venv`.
#
#   make examples          builds the programs in C, C++ and Go that resume an Activity
#   make demo [SEED=n]     two kills, three languages, no item lost: see examples/demo/README.md

EXAMPLES := $(CURDIR)/target/examples

.PHONY: examples demo

examples: lib
	@$(MAKE) --no-print-directory -C bindings/c/examples OUT=$(EXAMPLES)
	@$(MAKE) --no-print-directory -C bindings/cpp/examples OUT=$(EXAMPLES)
	cd examples/demo/workers/go && go build -o $(EXAMPLES)/resume_go .

demo: examples venv
	@TEMPORAL_HEARTBEAT_LIBRARY=$(CURDIR)/target/release/libtemporal_heartbeat.so \
		.venv/bin/python examples/demo/demo.py $(if $(SEED),--seed $(SEED)) $(if $(ITEMS),--items $(ITEMS))
