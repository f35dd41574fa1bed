# Packages for package managers, made from the tarballs of `make release`. They are written beside these, into target/artefacts:
#
#     temporal-heartbeat_VERSION_ARCHITECTURE.deb, temporal-heartbeat-dev_VERSION_ARCHITECTURE.deb
#     temporal-heartbeat-VERSION-1.MACHINE.rpm, temporal-heartbeat-devel-VERSION-1.MACHINE.rpm
#     temporal-heartbeat-VERSION.tgz                      the npm package, for all platforms
#     temporal_heartbeat-VERSION-MACHINE-SYSTEM.gem       a Ruby gem per platform

PACKAGES := packages-deb-rpm packages-npm packages-gem
TARBALLS  = $(filter-out %-debug.tar.gz,$(wildcard $(ARTEFACTS)/temporal-heartbeat-*.tar.gz))

.PHONY: packages $(PACKAGES)

packages: $(PACKAGES) ## pack the tarballs of `make release` for package managers: deb, rpm, npm, gem
	@cd $(ARTEFACTS) && sha256sum -- $$(find . -maxdepth 1 -type f ! -name SHA256SUMS -printf '%P\n' | sort) >SHA256SUMS

packages-deb-rpm:
	@for tarball in $(ARTEFACTS)/temporal-heartbeat-*-linux-*-gnu.tar.gz; do packaging/nfpm.sh "$$tarball" $(ARTEFACTS) || exit 1; done

packages-npm:
	@packaging/npm.sh $(ARTEFACTS) $(TARBALLS)

packages-gem:
	@for tarball in $(TARBALLS); do packaging/gem.sh "$$tarball" $(ARTEFACTS) || exit 1; done
