# The release: packages that need no compiler, for each platform.
#
# `make release` writes into target/artefacts (VERSION is the one of Cargo.toml, or VERSION-snapshot with SNAPSHOT=1):
#
#     temporal-heartbeat-VERSION-PLATFORM.tar.gz         a folder of that name with include/, lib/, bin/, share/, like `make install`
#     temporal-heartbeat-VERSION-PLATFORM-debug.tar.gz   the library's debug information
#     temporal_heartbeat-VERSION-py3-none-*.whl          one wheel per platform
#     temporal_heartbeat-VERSION.tar.gz                  the source distribution
#     temporal-heartbeat-VERSION.cdx.json                the SBOM
#     SHA256SUMS
#
# PLATFORM is linux-x86_64-gnu, linux-aarch64-gnu (glibc 2.17 or newer), linux-x86_64-musl, linux-aarch64-musl, or darwin-MACHINE.
# target/platforms/PLATFORM/shipped has the stripped files: libtemporal_heartbeat.so, libtemporal_heartbeat.a, temporal-heartbeat.
# The program for musl is static, so it runs on every Linux of its processor.

ARTEFACTS := target/artefacts
PLATFORMS ?= $(if $(filter Linux,$(SYSTEM)),linux-x86_64-gnu linux-aarch64-gnu linux-x86_64-musl linux-aarch64-musl,darwin-$(shell uname -m))
RELEASE   := $(VERSION)$(if $(SNAPSHOT),-snapshot)

.PHONY: release check-release $(PLATFORMS:%=platform-%)

$(PLATFORMS:%=platform-%): platform-%:
	@LINK="$(LINK)" packaging/platform.sh $* target/platforms/$*

release: $(PLATFORMS:%=platform-%) ## build in target/artefacts: the packages of all platforms; PLATFORMS=some of them, SNAPSHOT=1 before a release

check-release: venv ## run each artefact of `make release` on its platform, until a server acknowledges a heartbeat
	cd tests && THB_SLOW=1 $(VENV)/bin/python -m pytest release
