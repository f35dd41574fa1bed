"""A real systemd as an instance of this user, in a control group and with a /run of its own."""

import contextlib
import os
import shutil
import signal
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path

from harness.polling import wait_until
from harness.requires import requires
from packages.builds import fresh_environment
from release.chroots import needs_root

SYSTEMD = Path("/lib/systemd/systemd")
CGROUPS = Path("/sys/fs/cgroup")

# systemd starts only where it finds this folder.
START = """
mount -t tmpfs tmpfs /run
mkdir -p /run/systemd/system
exec "$0" --user --log-target=console
"""


class Systemd:
    """Its units are files of `units`."""

    def __init__(self, folder: Path) -> None:
        self.units = folder / "config" / "systemd" / "user"
        self.units.mkdir(parents=True)
        self._runtime = folder / "run"
        self._runtime.mkdir(mode=0o700)
        self._log = folder / "systemd.log"
        self._environment = fresh_environment(
            XDG_RUNTIME_DIR=str(self._runtime), XDG_CONFIG_HOME=str(folder / "config"), HOME=str(folder)
        )
        self._environment.pop("NOTIFY_SOCKET", None)

    @contextlib.contextmanager
    def running(self) -> Iterator["Systemd"]:
        needs_root()
        program = requires(shutil.which(SYSTEMD), "systemd")
        with _control_group() as join, self._log.open("wb") as log:
            process = subprocess.Popen(
                ["unshare", "--mount", "--cgroup", "sh", "-c", START, program],
                env=self._environment,
                stdout=log,
                stderr=log,
                preexec_fn=join,
            )
            try:
                wait_until(
                    lambda: self._run("show-environment")[0] == 0 or process.poll() is not None, "systemd answers"
                )
                assert process.poll() is None, self.log()
                yield self
            finally:
                process.send_signal(signal.SIGTERM)  # it stops its units
                try:
                    process.wait(60)
                finally:
                    process.kill()

    def control(self, *arguments: str) -> None:
        code, output = self._run(*arguments)
        if code != 0:
            _, state = self._run("status", arguments[-1])
            raise AssertionError(f"systemctl {' '.join(arguments)}\n{output}\n{state}\n{self.log()}")

    def _run(self, *arguments: str) -> tuple[int, str]:
        command = ["systemctl", "--user", *arguments]
        done = subprocess.run(
            command, env=self._environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, check=False
        )
        return done.returncode, done.stdout

    def log(self) -> str:
        """Returns the log, which has the output of the services too."""
        return self._log.read_text(errors="replace")


@contextlib.contextmanager
def _control_group() -> Iterator[Callable[[], None]]:
    """Makes a control group in each hierarchy that systemd uses. A process joins them by calling the result."""
    hierarchies = [CGROUPS / name for name in ("unified", "systemd")]
    used = [path for path in hierarchies if (path / "cgroup.procs").exists()] or [CGROUPS]
    requires(os.access(used[0] / "cgroup.procs", os.W_OK), "a writable hierarchy of control groups")
    groups = [path / f"temporal-heartbeat-test-{os.getpid()}" for path in used]
    for group in groups:
        group.mkdir()

    def join() -> None:
        for group in groups:
            (group / "cgroup.procs").write_text("0")

    try:
        yield join
    finally:
        for group in groups:
            for folder in sorted((path for path in group.rglob("*") if path.is_dir()), reverse=True):
                folder.rmdir()
            with contextlib.suppress(FileNotFoundError):  # systemd may have removed it
                group.rmdir()
