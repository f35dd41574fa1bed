# Shipping: the stripped library, its packages, and their target directories.

VERSION := $(shell sed -n 's/^version = "\(.*\)"/\1/p' Cargo.toml | head -n 1)
SHIPPED := target/shipped
DIST    := target/dist

# yes or no: whether to install and pack the command-line program, which runs only on Linux.
CLI ?= $(if $(filter Linux,$(SYSTEM)),yes,no)
WITH_CLI := $(if $(filter yes,$(CLI)),cli completions)

.PHONY: shipped completions places install uninstall dist wheel sdist go-module reference check-packages

PREFIX     ?= /usr/local
LIBDIR     ?= $(PREFIX)/lib
INCLUDEDIR ?= $(PREFIX)/include
BINDIR     ?= $(PREFIX)/bin
DATADIR    ?= $(PREFIX)/share
PLACES      = VERSION="$(VERSION)" PREFIX="$(PREFIX)" LIBDIR="$(LIBDIR)" INCLUDEDIR="$(INCLUDEDIR)" BINDIR="$(BINDIR)" \
              DATADIR="$(DATADIR)" DESTDIR="$(DESTDIR)" CLI="$(CLI)"

##@ Install and pack
shipped: lib ## build in target/shipped: the stripped libraries and their debug information
	@packaging/strip.sh target/release $(SHIPPED)

completions: cli # and the manual pages
	@packaging/pages.sh $(PROGRAM) target

install: places shipped $(WITH_CLI) ## install into PREFIX=/usr/local (also LIBDIR, INCLUDEDIR, BINDIR, DATADIR, DESTDIR); CLI=no: without the program
	@$(PLACES) packaging/install.sh install

places:
	@$(PLACES) packaging/install.sh check

uninstall: ## remove the files of `make install`; pass the same variables
	@$(PLACES) packaging/install.sh uninstall

dist: shipped $(WITH_CLI) ## build in target/dist: a relocatable tarball, its debug information and checksums
	@VERSION="$(VERSION)" CLI="$(CLI)" packaging/dist.sh $(SHIPPED) $(DIST)

wheel: shipped venv ## build in target/dist: the Python package including the library
	cd bindings/python && TEMPORAL_HEARTBEAT_SHIPPED=$(CURDIR)/$(SHIPPED) $(VENV)/bin/python -m hatchling build -t wheel -d $(CURDIR)/$(DIST)

sdist: venv ## build in target/dist: the source of the Python package and of the library
	cd bindings/python && $(VENV)/bin/python -m hatchling build -t sdist -d $(CURDIR)/$(DIST)

# The C library of the built library, gnu or musl, on Linux.
LIBC = $(lastword $(subst -, ,$(shell rustc -vV | sed -n 's/^host: //p')))

go-module: ## build in target/dist/go: the Go module as a proxy serves it, with the library
	$(call needs,$(PYTHON),Python 3)
	$(if $(filter Linux,$(SYSTEM)),@$(MAKE) --no-print-directory shipped)
	@$(PYTHON) packaging/go_module.py $(DIST)/go v$(VERSION) \
		$(if $(filter Linux,$(SYSTEM)),linux-$(shell uname -m)-$(LIBC)=$(SHIPPED)/libtemporal_heartbeat.a)

reference: $(SITE_VENV)/.done ## build in target/reference: the C reference alone, as Doxygen lays it out
	@mkdir -p target/reference
	$(SITE_VENV)/bin/doxygen docs/Doxyfile

check-packages: lib venv ## install each package and time it up to an acknowledged heartbeat; includes tests that `make test` omits
	cd tests && THB_SLOW=1 $(VENV)/bin/python -m pytest packages e2e/test_other_languages.py
	cd bindings/go && $(GO) test -race ./... && GOEXPERIMENT=cgocheck2 $(GO) test ./...
