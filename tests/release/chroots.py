"""Root file systems, entered by chroot."""

import os
import shutil
import subprocess
from pathlib import Path

from harness.build import alone
from harness.paths import ROOT
from harness.requires import requires

ROOTS = ROOT / "target" / "roots"
MIRROR = os.environ.get("DEBIAN_MIRROR", "http://deb.debian.org/debian")


def needs_root() -> None:
    requires(os.geteuid() == 0, "root, for chroot")


def debian(suite: str, packages: str, copy: Path) -> Path:
    """Copies a fresh Debian with these packages. The first run downloads them."""
    needs_root()
    root = ROOTS / f"{suite}-{packages.replace(',', '-')}"
    with alone("debian.lock"):
        if not root.exists():
            program = requires(shutil.which("debootstrap"), "debootstrap")
            ROOTS.mkdir(parents=True, exist_ok=True)
            fresh = root.with_suffix(".new")
            shutil.rmtree(fresh, ignore_errors=True)
            subprocess.run(
                [program, "--variant=minbase", f"--include={packages}", suite, str(fresh), MIRROR],
                check=True,
                stdout=subprocess.DEVNULL,
            )
            fresh.rename(root)
    subprocess.run(["cp", "--archive", str(root), str(copy)], check=True)
    return copy


# Arguments: the root file system, "ro" or "rw", a folder for temporary files or nothing, then those of chroot.
# The devices are those of this computer. The processes have their own /proc, and end with the first of them.
ENTER = """
set -e
root=$1 mode=$2 temporary=$3
shift 3
mount --make-rprivate /
mount --bind "$root" "$root"
mkdir -p "$root/proc" "$root/dev" "$root$temporary"
mount -t proc proc "$root/proc"
mount --rbind /dev "$root/dev"
[ -z "$temporary" ] || mount -t tmpfs -o mode=1777 tmpfs "$root$temporary"
mount -o "remount,bind,$mode" "$root"
exec chroot "$@"
"""


def entered(root: Path, *command: str, user: str = "0:0", mode: str = "rw", temporary: str = "") -> list[str]:
    """Returns the command that runs a command in the root file system, as process 1 of its own."""
    enter = [
        "unshare",
        "--mount",
        "--pid",
        "--fork",
        "--kill-child",
        "sh",
        "-c",
        ENTER,
        "sh",
        str(root),
        mode,
        temporary,
    ]
    return [*enter, f"--userspec={user}", str(root), *command]
