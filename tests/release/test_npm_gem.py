"""The npm package and the gem: installed into an empty folder, and used without anything else of this project."""

import re
import shutil
import subprocess
import textwrap
from pathlib import Path

import pytest

from harness.fixtures import StartActivity
from harness.paths import ROOT
from harness.requires import requires
from harness.server import Server
from packages.builds import ITEMS, PackageActivity, fresh_environment, run
from packages.stopwatch import Way
from packages.stopwatch import way as way
from release.artefacts import MACHINE, artefact

EXAMPLES = ROOT / "examples"
# No compiler of Rust.
PATH = "/usr/local/bin:/usr/bin:/bin"
# The newest compiler with which the types must work.
TYPESCRIPT = ("typescript@~5.9", "@types/node@^20")


@pytest.fixture(scope="module")
def installed_npm(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return npm_installed(tmp_path_factory.mktemp("npm"))


def npm_installed(folder: Path, *further: str) -> Path:
    npm = requires(shutil.which("npm"), "npm")
    quiet = ("--ignore-scripts", "--no-audit", "--no-fund", "--silent")
    run(npm, "install", *quiet, str(npm_package()), *further, cwd=folder, env=fresh_environment(PATH=PATH))
    return folder


def npm_package() -> Path:
    return artefact("temporal-heartbeat-*.tgz")


def test_npm_package_in_an_empty_folder_completes(
    server: Server, start: StartActivity, tmp_path: Path, way: Way
) -> None:
    activity = PackageActivity(server, start)
    with way("Node.js, from the npm package, in an empty folder"):
        npm_installed(tmp_path)
        shutil.copy(EXAMPLES / "node" / "activity.js", tmp_path)
        node = requires(shutil.which("node"), "node")
        assert activity.completed_by(node, "activity.js", "3", cwd=tmp_path, PATH=PATH) == ITEMS


def test_npm_package_is_imported_as_a_module(installed_npm: Path) -> None:
    (installed_npm / "module.mjs").write_text(
        "import { Activity, connect, version } from 'temporal-heartbeat';\n"
        "console.log(version(), typeof Activity.fromEnv, typeof connect);\n"
    )
    printed = run("node", "module.mjs", cwd=installed_npm, env=fresh_environment(PATH=PATH))
    assert printed == "0.1.0 function function\n"


PROGRAM = """
    import * as thb from 'temporal-heartbeat';

    async function main(): Promise<void> {
      await thb.connect({ address: '127.0.0.1:7233', tls: { serverName: 'a' }, grpcMeta: { 'x-key': 'value' } });
      const result: number = await thb.Activity.fromEnv({ stallTimeoutMs: 60_000 }).run(async (activity) => {
        const details: thb.Details = await activity.details({ timeoutMs: 5000 });
        const signals: number = activity.heartbeat({ item: details.values[0] });
        if (signals & thb.Signals.CANCEL_REQUESTED) await activity.reportCancelled();
        await activity.waitWhilePaused({ signal: AbortSignal.timeout(1000) });
        await activity.fail({ message: 'no', nonRetryable: true, details: [1], cause: new Error('why') });
        return details.attempt;
      });
      const bytes: Uint8Array = thb.tokenFromEnv();
      try {
        await thb.complete(bytes, result);
      } catch (error) {
        if (!(error instanceof thb.HeartbeatError) || error.code !== 'THB_NOT_FOUND') throw error;
      }
    }

    void main();
"""
MISTAKES = {
    "stallTimeoutMs: 60_000": "stallTimeoutMs: 'a minute'",
    "serverName": "severName",
    "thb.Activity.fromEnv(": "new thb.Activity(",
    "const bytes: Uint8Array": "const bytes: string",
}


def test_users_program_is_type_checked(installed_npm: Path) -> None:
    npm_installed(installed_npm, *TYPESCRIPT)
    program = textwrap.dedent(PROGRAM)
    (installed_npm / "right.ts").write_text(program)
    wrong = [f"wrong{number}.ts" for number in range(len(MISTAKES))]
    for name, (correct, mistake) in zip(wrong, MISTAKES.items(), strict=True):
        assert correct in program
        (installed_npm / name).write_text(program.replace(correct, mistake))
    tsc = ["node_modules/.bin/tsc", "--noEmit", "--strict", "--module", "nodenext", "right.ts", *wrong]
    done = subprocess.run(tsc, cwd=installed_npm, env=fresh_environment(), capture_output=True, text=True, check=False)
    assert sorted(set(re.findall(r"^\S+\.ts", done.stdout, flags=re.MULTILINE))) == wrong, done.stdout


def test_types_declare_what_the_package_exports(installed_npm: Path) -> None:
    declared = {
        line.split()[2].partition("(")[0].partition("<")[0].rstrip(":")
        for line in (ROOT / "bindings/node/index.d.ts").read_text().splitlines()
        if line.startswith(("export class", "export const", "export function"))
    }
    printed = run("node", "-p", "Object.keys(require('temporal-heartbeat')).join()", cwd=installed_npm)
    assert set(printed.strip().split(",")) == declared


def test_npm_package_has_the_licences_and_is_small(installed_npm: Path) -> None:
    package = installed_npm / "node_modules" / "temporal-heartbeat"
    assert {"LICENSE-MIT", "LICENSE-APACHE", "README.md"} <= {file.name for file in package.iterdir()}
    platforms = list((package / "native").iterdir())
    assert npm_package().stat().st_size <= len(platforms) * 2 * 1024 * 1024


def test_gem_in_an_empty_folder_completes(server: Server, start: StartActivity, tmp_path: Path, way: Way) -> None:
    gem, ruby = requires(shutil.which("gem"), "gem"), requires(shutil.which("ruby"), "ruby")
    activity = PackageActivity(server, start)
    home = {"GEM_HOME": str(tmp_path / "gems"), "GEM_PATH": str(tmp_path / "gems"), "PATH": PATH}
    with way("Ruby, from the gem, into an empty GEM_HOME"):
        packed = artefact(f"temporal_heartbeat-*-{MACHINE}-linux.gem")
        run(gem, "install", "--local", "--no-document", str(packed), cwd=tmp_path, env=fresh_environment(**home))
        shutil.copy(EXAMPLES / "ruby" / "activity.rb", tmp_path)
        assert activity.completed_by(ruby, "activity.rb", "3", cwd=tmp_path, **home) == ITEMS
    [installed] = (tmp_path / "gems" / "gems").iterdir()
    assert {"LICENSE-MIT", "LICENSE-APACHE", "README.md"} <= {file.name for file in installed.iterdir()}
    assert packed.stat().st_size <= 2 * 1024 * 1024
