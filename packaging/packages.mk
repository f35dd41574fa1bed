# Packages for package managers, made from the tarballs of `make release`. They are written beside these, into target/artefacts:
#
#     temporal-heartbeat_VERSION_ARCHITECTURE.deb, temporal-heartbeat-dev_VERSION_ARCHITECTURE.deb
#     temporal-heartbeat-VERSION-1.MACHINE.rpm, temporal-heartbeat-devel-VERSION-1.MACHINE.rpm
#     temporal-heartbeat-VERSION.tgz                      the npm package, for all platforms
#     temporal_heartbeat-VERSION-MACHINE-SYSTEM.gem       a Ruby gem per platform
#     temporal-heartbeat-VERSION-go-module.tar.gz         the Go module, as a folder that Go reads like a module proxy
#     temporal-heartbeat-VERSION-ports.tar.gz             files for Conan, vcpkg, Spack and Homebrew

PACKAGES := packages-deb-rpm packages-npm packages-gem packages-go packages-ports
TARBALLS  = $(filter-out %-debug.tar.gz %-ports.tar.gz %-go-module.tar.gz,$(wildcard $(ARTEFACTS)/temporal-heartbeat-*.tar.gz))

# The folder from which users download the tarballs.
RELEASE_URL ?= file://$(CURDIR)/$(ARTEFACTS)

.PHONY: packages $(PACKAGES)

packages: $(PACKAGES) ## pack the tarballs of `make release` for package managers: deb, rpm, npm, gem, Go, Conan; RELEASE_URL=their folder
	@cd $(ARTEFACTS) && sha256sum -- $$(find . -maxdepth 1 -type f ! -name SHA256SUMS -printf '%P\n' | sort) >SHA256SUMS

packages-deb-rpm:
	@for tarball in $(ARTEFACTS)/temporal-heartbeat-*-linux-*-gnu.tar.gz; do packaging/nfpm.sh "$$tarball" $(ARTEFACTS) || exit 1; done

packages-npm:
	@packaging/npm.sh $(ARTEFACTS) $(TARBALLS)

packages-gem:
	@for tarball in $(TARBALLS); do packaging/gem.sh "$$tarball" $(ARTEFACTS) || exit 1; done

packages-go:
	@PYTHON=$(PYTHON) packaging/go.sh $(RELEASE) $(ARTEFACTS) $(TARBALLS)

packages-ports:
	@$(PYTHON) packaging/ports.py $(RELEASE) $(RELEASE_URL) $(ARTEFACTS)
