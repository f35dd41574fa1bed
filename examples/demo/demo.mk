# The demo and the programs that it runs. The top Makefile includes this file, provides the targets `lib`, `cli` and `venv`, and includes
# docs/site/site.mk with the environment of the recorder.

EXAMPLES := $(CURDIR)/target/examples

.PHONY: examples demo recordings

##@ Try
examples: lib ## build the example programs in C, C++ and Go, in target/examples
	@$(MAKE) --no-print-directory -C bindings/c/examples OUT=$(EXAMPLES)
	@$(MAKE) --no-print-directory -C bindings/cpp/examples OUT=$(EXAMPLES)
	$(call needs,$(GO),Go)
	cd examples/demo/workers/go && $(GO) build -o $(EXAMPLES)/resume_go .

DEMO_RUN := .venv/bin/python examples/demo/demo.py
RECORDER := docs/recordings/record.py

demo: examples venv $(if $(RECORD),cli $(SITE_VENV)/.done) ## run the demo: two kills, three languages, no item lost; SEED=n repeats a run, ITEMS=n, RECORD=1 records it
	$(if $(RECORD),@mkdir -p target/recordings)
	@$(if $(RECORD),$(PYTHON) $(RECORDER) target/recordings/demo.cast) $(DEMO_RUN) $(if $(or $(SEED),$(RECORD)),--seed $(or $(SEED),7)) $(if $(ITEMS),--items $(ITEMS))
	$(if $(RECORD),@for name in work exec; do $(PYTHON) $(RECORDER) target/recordings/$$name.cast bash docs/recordings/$$name.sh || exit 1; done)
	$(if $(RECORD),@$(MAKE) --no-print-directory recordings)

# Draws the recorded terminals of target/recordings again.
recordings: $(SITE_VENV)/.done
	@$(SITE_VENV)/bin/python docs/recordings/render.py target/recordings docs/recordings
