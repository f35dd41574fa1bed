"""The library as a package of Conan 2. It unpacks a tarball of the release, and compiles nothing."""

from conan import ConanFile
from conan.errors import ConanInvalidConfiguration
from conan.tools.files import copy, get


class TemporalHeartbeat(ConanFile):
    name = "temporal-heartbeat"
    version = "@VERSION@"
    description = "Heartbeats of Temporal Activities, from any process"
    license = "MIT OR Apache-2.0"
    topics = ("temporal", "activity", "heartbeat")
    package_type = "library"
    settings = "os", "arch"
    # Conan's settings don't distinguish the C libraries of Linux.
    options = {"shared": [True, False], "libc": ["gnu", "musl"]}
    default_options = {"shared": True, "libc": "gnu"}

    def config_options(self):
        if self.settings.os != "Linux":
            del self.options.libc

    @property
    def _platform(self):
        system = {"Linux": "linux", "Macos": "darwin"}.get(str(self.settings.os), str(self.settings.os))
        machine = {"armv8": "arm64" if system == "darwin" else "aarch64"}.get(str(self.settings.arch), str(self.settings.arch))
        return "-".join([system, machine, *([str(self.options.libc)] if system == "linux" else [])])

    def validate(self):
        if self._platform not in self.conan_data["sources"][self.version]:
            raise ConanInvalidConfiguration(f"there is no package of temporal-heartbeat for {self._platform}")

    def build(self):
        get(self, **self.conan_data["sources"][self.version][self._platform], strip_root=True)

    def package(self):
        copy(self, "*", f"{self.build_folder}/include", f"{self.package_folder}/include")
        libraries = ("*.so*", "*.dylib") if self.options.shared else ("*.a",)
        for pattern in libraries:
            copy(self, pattern, f"{self.build_folder}/lib", f"{self.package_folder}/lib")
        copy(self, "*", f"{self.build_folder}/bin", f"{self.package_folder}/bin")
        copy(self, "LICENSE-*", f"{self.build_folder}/share/doc/temporal-heartbeat", f"{self.package_folder}/licenses")

    def package_info(self):
        self.cpp_info.set_property("cmake_file_name", "temporal_heartbeat")
        self.cpp_info.set_property("cmake_target_name", "temporal_heartbeat::temporal_heartbeat")
        self.cpp_info.set_property("pkg_config_name", "temporal_heartbeat")
        self.cpp_info.libs = ["temporal_heartbeat"]
        if self.settings.os == "Linux" and not self.options.shared:
            self.cpp_info.system_libs = ["pthread", "m", "dl"]
