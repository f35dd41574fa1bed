# Engines that run work on several machines, PyTorch, and more languages, each with its real programs and a real server.
# `make integrations-ENGINE` runs one of them.
# An engine consists of:
#
#     its name, in KILLED below, or in INTEGRATIONS if its tests kill nothing
#     test_ENGINE.py       its tests. They record each kill with the fixture `kills`, and table.py prints the table
#     ENGINE.txt           the Python packages that it needs beside tests/requirements.txt, with their versions
#     DEBIAN_ENGINE        a variable below: the Debian packages that it needs

KILLED            := ray dask mpi slurm kubernetes training
INTEGRATIONS      := $(KILLED) languages
INTEGRATIONS_VENV := $(CURDIR)/target/integrations/venv

DEBIAN_mpi        := openmpi-bin libopenmpi-dev
DEBIAN_slurm      := munge slurm-wlm
DEBIAN_kubernetes := binutils catatonit containerd containernetworking-plugins etcd-server iproute2 procps runc util-linux
DEBIAN_training   := python3-torch
DEBIAN_languages  := gfortran luajit r-base-core ruby

STAGES   := $(INTEGRATIONS:%=integrations-%)
INSTALLS := $(INTEGRATIONS:%=install-%)
.PHONY: check-integrations kubernetes-cluster $(STAGES) $(INSTALLS)

##@ Test with engines
check-integrations: lib program ## run work on real engines, kill it 20 times per engine, and print a table; installs the engines
	@status=0; for engine in $(INTEGRATIONS); do $(MAKE) --no-print-directory integrations-$$engine || status=1; done; \
	$(PYTHON) tests/integrations/table.py $(KILLED); exit $$status

kubernetes-cluster: install-kubernetes ## start a Kubernetes cluster on this machine, as root, to try the manifests
	@cd tests && $(INTEGRATIONS_VENV)/bin/python -m integrations.try_cluster

$(STAGES): integrations-%: install-%
	@rm -f target/integrations/kills/$*.jsonl
	cd tests && THB_INTEGRATIONS=1 THB_REQUIRE_ALL=1 $(INTEGRATIONS_VENV)/bin/python -m pytest integrations/test_$*.py; \
	status=$$?; $(if $(filter $*,$(KILLED)),$(PYTHON) integrations/table.py $*;) exit $$status

# Debian's packages come first, because pip may compile against them.
$(INSTALLS): install-%: lib program tests/integrations/%.txt
	@tests/integrations/debian.sh $(DEBIAN_$*)
	@test -x $(INTEGRATIONS_VENV)/bin/pip || $(PYTHON) -m venv $(INTEGRATIONS_VENV)
	@cat tests/requirements.txt tests/integrations/$*.txt | cmp --silent - $(INTEGRATIONS_VENV)/$*.installed || { \
		$(INTEGRATIONS_VENV)/bin/pip install --quiet --disable-pip-version-check -r tests/requirements.txt -r tests/integrations/$*.txt && \
		cat tests/requirements.txt tests/integrations/$*.txt >$(INTEGRATIONS_VENV)/$*.installed; }

# The Go module has the programs of Kubernetes as its tools.
install-kubernetes: target/integrations/kubernetes/built
target/integrations/kubernetes/built: tests/integrations/kubernetes/go.mod
	@echo "building Kubernetes, which takes some minutes"
	$(call needs,$(GO),Go)
	@mkdir -p $(@D)
	$(GO) build -C $(<D) -ldflags="-s -w" -o $(abspath $(@D))/ tool
	@touch $@

.PHONY: lint-integrations
lint: lint-integrations
lint-integrations: venv
	cd examples/recipes && $(VENV)/bin/ruff check --config ruff.toml ../integrations && $(VENV)/bin/ruff format --config ruff.toml --check ../integrations
