"""A Slurm cluster of two nodes on this machine: examples/integrations/slurm/local_cluster.sh. It needs root."""

import contextlib
import os
import shutil
import signal
import subprocess
import tempfile
from collections.abc import Mapping, Sequence
from contextlib import AbstractContextManager
from pathlib import Path

from harness.paths import ROOT
from harness.polling import wait_until
from harness.program import is_alive, parent_of
from harness.requires import missing, requires
from harness.server import free_port
from harness.service import processes_with

SCRIPTS = ROOT / "examples" / "integrations" / "slurm"
NODES = ("n1", "n2")

# The scheduler of Slurm takes up to 30 s for a preemption, and checks time limits every 30 s.
LIMIT_S = 180.0


class Cluster(AbstractContextManager["Cluster"]):
    version: str

    def __enter__(self) -> "Cluster":
        requires(shutil.which("slurmctld"), "slurmctld (Debian: slurm-wlm)")
        if os.geteuid() != 0:
            missing("root, to start a Slurm cluster")
        # The socket of munge must be accessible to all users, so pytest's private folder can't contain it.
        self.folder = Path(tempfile.mkdtemp(prefix="slurm-", dir="/tmp"))
        self.folder.chmod(0o711)
        self.variables = os.environ | {"SLURM_CONF": str(self.folder / "slurm.conf"), "SLURM_PORT": str(free_port())}
        script = [str(SCRIPTS / "local_cluster.sh"), str(self.folder)]
        self._processes = [subprocess.Popen(script, env=self.variables)]
        try:
            wait_until(lambda: self._idle_nodes() == len(NODES), "two idle nodes", LIMIT_S)
        except BaseException:
            self.__exit__()
            raise
        self.version = self.run("sbatch", "--version").split()[-1]
        return self

    def __exit__(self, *_: object) -> None:
        for node in NODES:
            self.kill_processes(node)
        for process in self._processes:
            process.terminate()
            process.wait(LIMIT_S)
        # They would report the end of the jobs of a killed node for ever.
        kill_at_once([pid for pid in _processes_of("slurmstepd") if self._has_open_files(pid)])
        shutil.rmtree(self.folder, ignore_errors=True)

    def run(self, *command: str, variables: Mapping[str, str] | None = None, check: bool = True) -> str:
        """Runs a command of Slurm, and returns its output."""
        environment = self.variables | dict(variables or {})
        done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False, timeout=60)
        assert done.returncode == 0 or not check, f"{command}: {done.stderr}"
        return done.stdout.strip()

    def submit(self, *arguments: str, variables: Mapping[str, str] | None = None) -> str:
        """Submits a job, and returns its id."""
        return self.run("sbatch", "--parsable", "--chdir", str(self.folder), *arguments, variables=variables)

    def state(self, job: str) -> str:
        """Returns the state of a job, such as RUNNING."""
        return self.run("squeue", "--noheader", "--states=all", f"--job={job}", "--format=%T")

    def jobs(self, name: str) -> list[str]:
        """Returns the states of the jobs with this name that run, wait or end. Each task of an array is a job."""
        states = "--states=PENDING,CONFIGURING,RUNNING,COMPLETING"
        return self.run("squeue", "--noheader", "--array", states, f"--name={name}", "--format=%T").split()

    def wait_for_state(self, job: str, *states: str) -> None:
        wait_until(lambda: self.state(job) in states, f"the state {' or '.join(states)} of job {job}", LIMIT_S)

    def kill_processes(self, node: str) -> None:
        """Kills the processes of the jobs on a node, like the kernel when memory runs out."""
        kill_at_once(self._processes_on(node))

    def kill_node(self, node: str) -> None:
        """Kills all processes of a node, like a power failure: no daemon sees the end of a job."""
        jobs = self._processes_on(node)
        kill_at_once([int((self.folder / f"pid-{node}").read_text()), *daemons_of(jobs), *jobs])

    def start_node(self, node: str) -> None:
        script = [str(SCRIPTS / "local_cluster.sh"), "--node", str(self.folder), node]
        self._processes.append(subprocess.Popen(script, env=self.variables))

    def _processes_on(self, node: str) -> list[int]:
        """Returns the processes of the jobs on a node of this cluster. Other clusters may have a node of that name."""
        return processes_with(f"SLURM_CONF={self.variables['SLURM_CONF']}", f"SLURMD_NODENAME={node}")

    def _has_open_files(self, pid: int) -> bool:
        """Returns whether the process has files open in the folder of this cluster."""
        targets = []
        for descriptor in Path(f"/proc/{pid}/fd").glob("*"):
            with contextlib.suppress(OSError):
                targets.append(str(descriptor.readlink()))
        return any(target.startswith(f"{self.folder}/") for target in targets)

    def _idle_nodes(self) -> int:
        states = self.run("sinfo", "--noheader", "--Node", "--partition=low", "--format=%t", check=False)
        return states.split().count("idle")


def variable_of(pid: int, name: str) -> str:
    """Returns a variable of the environment of a process."""
    variables = Path(f"/proc/{pid}/environ").read_text(errors="replace").split("\0")
    [value] = [text.partition("=")[2] for text in variables if text.startswith(f"{name}=")]
    return value


def daemons_of(jobs: Sequence[int]) -> set[int]:
    """Returns the slurmstepds of jobs, given by the jobs' processes. A slurmstepd hides its environment."""
    return set(map(parent_of, jobs)) & _processes_of("slurmstepd")


def _processes_of(program: str) -> set[int]:
    """Returns the processes of a program. Debian adds a suffix to its name."""
    found = set()
    for path in Path("/proc").glob("[0-9]*/exe"):
        with contextlib.suppress(OSError):
            if path.readlink().name.startswith(program):
                found.add(int(path.parent.name))
    return found


def kill_at_once(processes: Sequence[int]) -> None:
    """Kills processes without giving one of them the time to react to the end of another one."""
    for number in (signal.SIGSTOP, signal.SIGKILL):
        for pid in processes:
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, number)
    wait_until(lambda: not any(map(is_alive, processes)), f"the end of {processes}")
