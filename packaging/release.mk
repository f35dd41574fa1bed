# The release: packages that need no compiler, for each platform.
#
# `make release` writes into target/artefacts (VERSION is the one of Cargo.toml, or VERSION-snapshot with SNAPSHOT=1):
#
#     temporal-heartbeat-VERSION-PLATFORM.tar.gz         a folder of that name with include/, lib/, bin/, share/, like `make install`
#     temporal-heartbeat-VERSION-PLATFORM-debug.tar.gz   the library's debug information
#     temporal_heartbeat-VERSION-py3-none-*.whl          one wheel per platform
#     temporal_heartbeat-VERSION.tar.gz                  the source distribution (not with SNAPSHOT=1)
#     temporal-heartbeat-VERSION.cdx.json                the SBOM
#     SHA256SUMS
#
# PLATFORM is linux-x86_64-gnu, linux-aarch64-gnu (glibc 2.17 or newer), linux-x86_64-musl, linux-aarch64-musl, or darwin-MACHINE.
# target/platforms/PLATFORM/shipped has the stripped files: libtemporal_heartbeat.so, libtemporal_heartbeat.a, temporal-heartbeat.
# The program for musl is static, so it runs on every Linux of its processor.

ARTEFACTS := target/artefacts
LINUX     := linux-x86_64-gnu linux-aarch64-gnu linux-x86_64-musl linux-aarch64-musl
MACHINE   := $(shell uname -m)
PLATFORMS ?= $(if $(filter Linux,$(SYSTEM)),$(LINUX),darwin-$(MACHINE))
RELEASE   := $(VERSION)$(if $(SNAPSHOT),-snapshot)
# The platform of this computer.
HOST      := $(if $(filter Linux,$(SYSTEM)),linux-$(MACHINE)-gnu,darwin-$(MACHINE))
# This computer runs the program of this platform, which writes the manual pages and the completions for all platforms.
NATIVE    := $(or $(firstword $(filter linux-$(MACHINE)-%,$(PLATFORMS))),linux-$(MACHINE)-musl)
PAGES     := target/platforms/pages

.PHONY: release check-release release-ready release-pages $(LINUX:%=platform-%)

$(LINUX:%=platform-%): platform-%: release-ready
	@LINK="$(LINK)" packaging/platform.sh $* target/platforms/$*

# The only platform that isn't cross-built. The variable is the oldest macOS that runs the library.
platform-darwin-$(MACHINE): release-ready
	MACOSX_DEPLOYMENT_TARGET=11.0 $(MAKE) --no-print-directory lib
	@packaging/strip.sh target/release target/platforms/darwin-$(MACHINE)/shipped

release-ready:
	$(if $(SNAPSHOT),,@$(PYTHON) packaging/release_ready.py $(VERSION))

release-pages: $(if $(filter Linux,$(SYSTEM)),platform-$(NATIVE))
	@$(if $(filter Linux,$(SYSTEM)),packaging/pages.sh target/platforms/$(NATIVE)/shipped/temporal-heartbeat $(PAGES),:)

##@ Release
release: release-ready venv release-pages $(PLATFORMS:%=platform-%) ## build in target/artefacts: packages of all platforms (20 minutes); PLATFORMS=some, SNAPSHOT=1 before a release
	@VERSION=$(VERSION) RELEASE=$(RELEASE) WHEEL=$(VERSION)$(if $(SNAPSHOT),.dev0) PYTHON=$(VENV)/bin/python packaging/release.sh $(PLATFORMS)

check-release: venv check-site ## check and run each artefact of `make release` on its platform, until a server acknowledges a heartbeat
	TEMPORAL_HEARTBEAT_LIBRARY=$(CURDIR)/target/platforms/$(HOST)/shipped/$(notdir $(LIB)) $(CARGO) test --test abi compatibility
	cd tests && THB_RELEASE=1 $(VENV)/bin/python -m pytest release
