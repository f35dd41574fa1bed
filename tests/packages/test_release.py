"""What `make release` asks of a checkout, the version in one place, and the workflows of CI."""

import re
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
import yaml

from harness.paths import ROOT
from packages.builds import run

READY = ROOT / "packaging" / "release_ready.py"

DESCRIBED = "# Changes\n\n## Unreleased\n\n## 1.2.0 - 2026-01-31\n\n- The first.\n"


@pytest.fixture
def checkout(tmp_path: Path) -> Path:
    (tmp_path / "CHANGELOG.md").write_text(DESCRIBED)
    run("git", "init", "--quiet", cwd=tmp_path)
    commit(tmp_path)
    return tmp_path


def commit(checkout: Path) -> None:
    run("git", "add", ".", cwd=checkout)
    who = ("-c", "user.name=a", "-c", "user.email=a@example.org")
    run("git", *who, "commit", "--quiet", "--message=A change", cwd=checkout)


def ready(checkout: Path, version: str = "1.2.0") -> str:
    return run(sys.executable, str(READY), version, cwd=checkout)


def test_described_version_of_a_clean_checkout_is_released(checkout: Path) -> None:
    run("git", "tag", "v1.2.0", cwd=checkout)
    assert ready(checkout) == ""


def test_local_changes_are_not_released(checkout: Path) -> None:
    (checkout / "new.c").touch()
    with pytest.raises(AssertionError, match=r"local changes; commit them first: new\.c"):
        ready(checkout)


@pytest.mark.parametrize("version", ["1.3.0", "1.2.0-rc1", "1.2"])
def test_version_without_a_description_is_not_released(version: str, checkout: Path) -> None:
    with pytest.raises(AssertionError, match=f"no section `## {version} - DATE`"):
        ready(checkout, version)


def test_changes_that_belong_to_no_version_are_not_released(checkout: Path) -> None:
    (checkout / "CHANGELOG.md").write_text(DESCRIBED.replace("## Unreleased\n", "## Unreleased\n\n- Another.\n"))
    commit(checkout)
    with pytest.raises(AssertionError, match="changes in the section Unreleased"):
        ready(checkout)


def test_tag_of_another_version_is_not_released(checkout: Path) -> None:
    run("git", "tag", "v1.2.1", cwd=checkout)
    with pytest.raises(AssertionError, match=r"the tag v1\.2\.1 isn't v1\.2\.0"):
        ready(checkout)


def test_version_is_written_only_in_the_manifest() -> None:
    manifest = re.search(r'^version = "(.+)"', (ROOT / "Cargo.toml").read_text(), flags=re.MULTILINE)
    assert manifest
    declaration = rf"version['\"]?[[:space:]]*[:=(][[:space:]]*['\"]?{re.escape(manifest[1])}(['\"[:space:]]|$)"
    found = run("git", "grep", "--ignore-case", "--extended-regexp", declaration).splitlines()
    others = [line for line in found if not line.startswith(("Cargo.lock:", "tests/"))]
    assert others == [f'Cargo.toml:version = "{manifest[1]}"']


WORKFLOWS = sorted((ROOT / ".github" / "workflows").glob("*.yml"))


def steps(workflow: Path) -> Iterator[dict[str, object]]:
    for job in yaml.safe_load(workflow.read_text())["jobs"].values():
        yield from job["steps"]


@pytest.mark.parametrize("workflow", WORKFLOWS, ids=lambda path: path.stem)
def test_workflow_calls_targets_that_exist(workflow: Path) -> None:
    makefiles = [ROOT / "Makefile", *ROOT.glob("packaging/*.mk")]
    targets = set(re.findall(r"^([a-z-]+):", "".join(path.read_text() for path in makefiles), flags=re.MULTILINE))
    called = [
        target
        for step in steps(workflow)
        for arguments in re.findall(r"\bmake ([^\n&|;]*)", str(step.get("run", "")))
        for target in re.findall(r"^[a-z-]+|(?<= )[a-z-]+(?= |$)", arguments)
    ]
    assert called
    assert set(called) <= targets


def test_release_workflow_releases_what_it_has_checked() -> None:
    release = yaml.safe_load((ROOT / ".github/workflows/release.yml").read_text())
    commands = [str(step.get("run", "")) for step in release["jobs"]["linux"]["steps"]]
    built, checked = (next(i for i, run in enumerate(commands) if text in run) for text in ("release", "check-release"))
    assert built < checked
    assert set(release["jobs"]["release"]["needs"]) == {"linux", "macos"}
