# Installs a tarball of the release, and compiles nothing.
class TemporalHeartbeat < Formula
  HASHES = {
@sha256     "{platform}" => "{hash}",
  }.freeze
  PLATFORM = if OS.mac?
    "darwin-#{Hardware::CPU.arm? ? "arm64" : "x86_64"}"
  else
    "linux-#{Hardware::CPU.arm? ? "aarch64" : "x86_64"}-gnu"
  end

  desc "Heartbeats of Temporal Activities, from any process"
  homepage "@URL@"
  url "@URL@/temporal-heartbeat-@VERSION@-#{PLATFORM}.tar.gz"
  version "@VERSION@"
  sha256 HASHES.fetch(PLATFORM)
  license any_of: ["MIT", "Apache-2.0"]

  def install
    prefix.install Dir["*"]
  end

  test do
    (testpath/"version.c").write <<~C
      #include <stdio.h>
      #include "temporal_heartbeat.h"
      int main(void) { puts(thb_version()); return thb_check_abi(THB_ABI_VERSION); }
    C
    system ENV.cc, "version.c", "-I#{include}", "-L#{lib}", "-ltemporal_heartbeat", "-Wl,-rpath,#{lib}", "-o", "version"
    assert_match "@VERSION@", shell_output("./version")
  end
end
