"""The library as a package of Spack. It installs a tarball of the release, and compiles nothing."""

import platform

from spack.package import *


class TemporalHeartbeat(Package):
    """Heartbeats of Temporal Activities, from any process: a library for C, C++ and other languages, and a program."""

    homepage = "@URL@"
    license("MIT OR Apache-2.0")

    # Of each platform's tarball.
    _sha256 = {
@sha256         "{platform}": "{hash}",
    }
    _machine = platform.machine()
    _platform = f"darwin-{_machine}" if platform.system() == "Darwin" else f"linux-{_machine}-gnu"
    if _platform in _sha256:
        version(
            "@VERSION@",
            sha256=_sha256[_platform],
            url=f"@URL@/temporal-heartbeat-@VERSION@-{_platform}.tar.gz",
        )

    def install(self, spec, prefix):
        install_tree(".", prefix)
