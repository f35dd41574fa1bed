"""Python: the wheel in a fresh virtual environment, and its promises about Python versions, platforms and types."""

import re
import shutil
import subprocess
import sys
import textwrap
import zipfile
from collections.abc import Callable
from pathlib import Path

import pytest

from harness.fixtures import StartActivity
from harness.paths import ROOT, VENV_BIN
from harness.requires import missing
from harness.server import Server
from packages.builds import DIST, ITEMS, SLOW, PackageActivity, fresh_environment, fresh_python, make, run, wheel
from packages.stopwatch import Way
from packages.stopwatch import way as way

BINDING = ROOT / "bindings" / "python"
EXAMPLE = str(BINDING / "examples" / "activity.py")


def install(python: str, *what: str) -> None:
    run(python, "-m", "pip", "install", "--quiet", "--disable-pip-version-check", *what, cwd=Path(python).parent)


def source_distribution() -> Path:
    make("sdist")
    [source] = DIST.glob("temporal_heartbeat-*.tar.gz")
    return source


# `make check-packages` also compiles the library and its dependencies, which takes minutes.
PACKAGES: dict[str, Callable[[], Path]] = {
    "Python, from the wheel, in a fresh virtual environment": wheel,
    **({"Python, from the source distribution, which is compiled": source_distribution} if SLOW else {}),
}


@pytest.mark.parametrize("name", PACKAGES)
def test_package_in_a_fresh_environment_completes(
    name: str, server: Server, start: StartActivity, tmp_path: Path, way: Way
) -> None:
    package = str(shutil.copy(PACKAGES[name](), tmp_path))
    activity = PackageActivity(server, start)
    with way(name):
        python = fresh_python(tmp_path / "venv")
        install(python, package)
        assert activity.completed_by(python, EXAMPLE, "3", "done", cwd=tmp_path) == ITEMS


def test_wheel_is_small() -> None:
    assert wheel().stat().st_size <= 2.5 * 1024 * 1024


def test_wheel_has_the_licences_and_no_debug_information(tmp_path: Path) -> None:
    with zipfile.ZipFile(wheel()) as contents:
        names = contents.namelist()
        library = contents.extract("temporal_heartbeat/libtemporal_heartbeat.so", tmp_path)
    assert {"LICENSE-MIT", "LICENSE-APACHE"} <= {Path(name).name for name in names}
    assert ".debug_line" not in run("readelf", "--sections", "--wide", library, cwd=tmp_path)


def test_platform_in_the_wheel_name_matches_the_library() -> None:
    program = VENV_BIN / "auditwheel"
    if not program.exists():
        missing("auditwheel (make venv)")
    [promised] = re.findall(r"py3-none-(manylinux_\d+_\d+_\w+)\.whl", wheel().name)
    shown = " ".join(run(str(program), "show", str(wheel())).split())
    assert f'consistent with the following platform tag: "{promised}"' in shown


def test_package_needs_no_newer_python_than_declared() -> None:
    program = VENV_BIN / "vermin"
    if not program.exists():
        missing("vermin (make venv)")
    # Annotations are excluded, because they aren't evaluated.
    told = run(str(program), "--target=3.9-", "--no-tips", "--violations", str(BINDING / "temporal_heartbeat"))
    assert "Minimum required versions" in told


def test_users_program_is_type_checked_with_the_wheel(tmp_path: Path) -> None:
    python = fresh_python(tmp_path / "venv")
    install(python, "--no-index", str(wheel()))
    program = tmp_path / "solver.py"
    program.write_text(
        textwrap.dedent(
            """
            import temporal_heartbeat as thb

            thb.connect()
            with thb.Activity(thb.token_from_env(), stall_timeout=60) as act:
                if act.heartbeat({"item": 1}) & thb.Signals.CANCEL_REQUESTED:
                    act.report_cancelled()
                act.complete("done")
            """
        )
    )
    mypy = [sys.executable, "-m", "mypy", "--strict", "--python-executable", python, str(program)]
    run(*mypy, cwd=tmp_path)
    program.write_text(program.read_text().replace("stall_timeout=60", "stall_timeout='a minute'"))
    done = subprocess.run(mypy, cwd=tmp_path, env=fresh_environment(), capture_output=True, text=True, check=False)
    assert 'Argument "stall_timeout" to "Activity"' in done.stdout
