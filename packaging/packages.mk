# Packages for package managers, made from the tarballs of `make release`. They are written beside these, into target/artefacts:
#
#     temporal-heartbeat_VERSION_ARCHITECTURE.deb, temporal-heartbeat-dev_VERSION_ARCHITECTURE.deb
#     temporal-heartbeat-VERSION-1.MACHINE.rpm, temporal-heartbeat-devel-VERSION-1.MACHINE.rpm
#     temporal-heartbeat-VERSION.tgz                      the npm package, for all platforms
#     temporal_heartbeat-VERSION-MACHINE-SYSTEM.gem       a Ruby gem per platform
#     temporal-heartbeat-VERSION-go-module.tar.gz         the Go module, as a folder that Go reads like a module proxy
#     temporal-heartbeat-VERSION-ports.tar.gz             files for Conan, vcpkg, Spack and Homebrew

PACKAGES := packages-deb-rpm packages-npm packages-gem packages-go packages-ports
TARBALLS  = $(wildcard $(patsubst %,$(ARTEFACTS)/temporal-heartbeat-$(RELEASE)-%.tar.gz,$(LINUX) darwin-x86_64 darwin-arm64))

# The folder from which users download the tarballs.
RELEASE_URL ?= file://$(CURDIR)/$(ARTEFACTS)

.PHONY: packages $(PACKAGES)

packages: $(PACKAGES) ## pack the tarballs of `make release` for package managers: deb, rpm, npm, gem, Go, Conan; RELEASE_URL=their folder
	@cd $(ARTEFACTS) && sha256sum -- $$(find . -maxdepth 1 -type f ! -name SHA256SUMS -printf '%P\n' | sort) >SHA256SUMS

packages-deb-rpm:
	@for tarball in $(filter %-gnu.tar.gz,$(TARBALLS)); do packaging/nfpm.sh $(RELEASE) "$$tarball" $(ARTEFACTS) || exit 1; done

packages-npm:
	@packaging/npm.sh $(RELEASE) $(ARTEFACTS) $(TARBALLS)

packages-gem:
	@for tarball in $(TARBALLS); do packaging/gem.sh $(RELEASE) "$$tarball" $(ARTEFACTS) || exit 1; done

packages-go:
	@PYTHON=$(PYTHON) packaging/go.sh $(RELEASE) $(ARTEFACTS) $(TARBALLS)

packages-ports:
	@$(PYTHON) packaging/ports.py $(RELEASE) $(RELEASE_URL) $(ARTEFACTS)
