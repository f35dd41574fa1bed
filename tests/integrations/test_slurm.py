"""Work on a Slurm cluster: workers as jobs, hand-off to an array, and submitit."""

import contextlib
import itertools
import os
import re
import shutil
import sys
import uuid
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path

import pytest
from temporalio.exceptions import CancelledError

from harness.fixtures import StartActivity
from harness.paths import ROOT, TESTS, VENV_BIN
from harness.polling import wait_until
from harness.process import Process
from harness.program import encoded, environment, program
from harness.requires import requires
from harness.server import Server, find_program, free_port
from harness.service import processes_with
from harness.worker import ActivityOptions, Attempt, SdkWorker
from integrations.activities import EngineActivity
from integrations.held_program import HeldProgram
from integrations.journal import Journal
from integrations.kills import KILLS, Kills
from integrations.reader import read
from integrations.slurm import LIMIT_S, NODES, SCRIPTS, Cluster, daemons_of, kill_at_once, variable_of

SOLVER = str(TESTS / "integrations" / "solver.sh")
HEARTBEAT_TIMEOUT_MS = 3_000
# Longer than the start of a Python program with its imports on a busy machine.
SUBMITIT_TIMEOUT_MS = 15_000
# The items of a submitit job, which take 12 s.
ITEMS = 60
AN_HOUR_MS = 3_600_000
# An array waits in the queue while another test occupies the nodes.
FOR_ARRAYS = ActivityOptions(heartbeat_timeout_ms=60_000, start_to_close_ms=AN_HOUR_MS)


@pytest.fixture(scope="module")
def cluster() -> Iterator[Cluster]:
    with Cluster() as running:
        yield running


@pytest.fixture
def folder(cluster: Cluster) -> Iterator[Path]:
    """A folder that the jobs can read and write. Pytest shows their logs if the test fails."""
    path = cluster.folder / f"work-{uuid.uuid4()}"
    path.mkdir()
    yield path
    for log in [*sorted(path.glob("*.log")), cluster.folder / "log-slurmctld"]:
        print(f"--- {log.name}\n{log.read_text()}")


def job_variables(server: Server) -> dict[str, str]:
    """The environment in which a user submits jobs, with the program on the PATH."""
    return environment(server.address) | {"PATH": f"{program().parent}:{os.environ['PATH']}"}


class Pool(AbstractContextManager["Pool"]):
    """Two jobs of work.sh, each with a whole node, and the activity that they work on."""

    def __init__(self, cluster: Cluster, server: Server, sdk_worker: SdkWorker, folder: Path) -> None:
        self.cluster, self.folder = cluster, folder
        self.journal = Journal(folder / "journal")
        queue = f"slurm-{uuid.uuid4()}"
        self._variables = job_variables(server) | {"TASK_QUEUE": queue}
        options = ActivityOptions(heartbeat_timeout_ms=HEARTBEAT_TIMEOUT_MS, start_to_close_ms=AN_HOUR_MS)
        self._activity = EngineActivity(sdk_worker, "solve", queue, options=options)

    def fill(self) -> None:
        """Submits jobs instead of those that have ended, and waits until both run."""
        wait_until(self._runs_both, "two running jobs", LIMIT_S)

    def _runs_both(self) -> bool:
        jobs = self.cluster.jobs("solve")
        if "COMPLETING" in jobs:
            return False  # it will be requeued, or has ended
        if missing := len(NODES) - len(jobs):
            array = [f"--array=1-{missing}", "--cpus-per-task=4", f"--output={self.folder}/job-%A-%a.log"]
            self.cluster.submit(*array, str(SCRIPTS / "work.sh"), SOLVER, str(self.folder), variables=self._variables)
        return jobs.count("RUNNING") == len(NODES)

    def finish(self) -> None:
        (self.folder / "stop").touch()
        self._activity.result()

    def __exit__(self, *_: object) -> None:
        self.cluster.run("scancel", "--name=solve")
        wait_until(lambda: not self.cluster.jobs("solve"), "the end of the jobs", LIMIT_S)

    def recorded(self) -> int:
        return int((self._activity.details() or [0])[0])


@contextmanager
def requeued(pool: Pool, job: str, _: str) -> Iterator[None]:
    pool.cluster.run("scontrol", "requeue", job)
    yield


@contextmanager
def cancelled(pool: Pool, job: str, _: str) -> Iterator[None]:
    pool.cluster.run("scancel", job)
    yield


@contextmanager
def killed_processes(pool: Pool, _: str, node: str) -> Iterator[None]:
    pool.cluster.kill_processes(node)
    yield


@contextmanager
def preempted(pool: Pool, _: str, node: str) -> Iterator[None]:
    pool.cluster.submit("--partition=high", "--exclusive", f"--nodelist={node}", "--wrap=true")
    yield


@contextmanager
def time_limit(pool: Pool, job: str, _: str) -> Iterator[None]:
    # Slurm checks the limits every 30 s, and sends the signal of work.sh a minute before the limit.
    text = pool.cluster.run("squeue", "--noheader", f"--job={job}", "--format=%M")
    *_hours, minutes, seconds = map(int, text.split(":"))
    limit = minutes + (seconds + 91) // 60
    pool.cluster.run("scontrol", "update", f"JobId={job}", f"TimeLimit={limit}")
    yield
    pool.cluster.wait_for_state(job, "PENDING")  # the job has requeued itself
    pool.cluster.run("scontrol", "update", f"JobId={job}", "TimeLimit=60")


@contextmanager
def failed_node(pool: Pool, job: str, node: str) -> Iterator[None]:
    pool.cluster.kill_node(node)
    try:
        yield
    finally:
        pool.cluster.start_node(node)
    pool.cluster.wait_for_state(job, "PENDING")  # Slurm has noticed that the job is lost


ENDS: dict[str, Callable[[Pool, str, str], AbstractContextManager[None]]] = {
    "the job (requeued)": requeued,
    "the processes of the job (SIGKILL)": killed_processes,
    "the job (scancel)": cancelled,
    "the job (preempted)": preempted,
    "the job (time limit)": time_limit,
    "the node": failed_node,
}


def job_of(pid: int) -> str:
    """Returns the id of the job of a process. SLURM_JOB_ID can be that of the whole array."""
    return f"{variable_of(pid, 'SLURM_ARRAY_JOB_ID')}_{variable_of(pid, 'SLURM_ARRAY_TASK_ID')}"


def test_jobs_that_are_workers_resume(
    cluster: Cluster, server: Server, sdk_worker: SdkWorker, folder: Path, kills: Kills
) -> None:
    with Pool(cluster, server, sdk_worker, folder) as pool:
        for attempt, (what, end) in enumerate(itertools.islice(itertools.cycle(ENDS.items()), KILLS), start=1):
            pool.fill()
            pool.journal.wait_for(attempt, 3, "end")
            recorded = pool.recorded()
            pid = pool.journal.of(attempt)[0].pid
            job, node = job_of(pid), variable_of(pid, "SLURMD_NODENAME")
            with kills.one("Slurm", cluster.version, what) as kill, end(pool, job, node):
                # Slurm preempts jobs and checks time limits later. So the clock starts at the end of the process.
                pool.journal.wait_for_the_end_of(attempt)
                kill.now()
                kill.resumed(pool.journal.wait_for(attempt + 1, 1))
                assert pool.journal.of(attempt + 1)[0].item >= recorded, "recorded items are done again"
                pool.journal.check(range(pool.journal.of(attempt + 1)[0].item))
        pool.journal.wait_for(KILLS + 1, 3, "end")
        pool.finish()
    pool.journal.check(range(max(line.item for line in pool.journal.lines())))


def submit_array(
    cluster: Cluster, server: Server, folder: Path, attempts: Sequence[Attempt], items: int, *flags: str
) -> str:
    """Submits array.sh with a task for each attempt, and returns the id of the job."""
    for number, attempt in enumerate(attempts):
        (folder / str(number)).write_text(encoded(attempt.token))
    options = [f"--array=0-{len(attempts) - 1}", f"--output={folder}/job-%A-%a.log", *flags]
    command = [str(SCRIPTS / "array.sh"), str(SCRIPTS.parent / "solver.sh"), str(items)]
    return cluster.submit(*options, *command, variables=job_variables(server) | {"TOKENS": str(folder)})


def test_handed_over_array_ends_at_its_time_limit_and_is_submitted_again(
    cluster: Cluster, server: Server, start: StartActivity, folder: Path
) -> None:
    activities = [start("workflow", start_to_close_ms=AN_HOUR_MS) for _ in range(2)]
    for items, flags in ((1_000_000, ["--time=1", "--signal=B:TERM@55"]), (0, [])):
        attempts = [activity.next_attempt(LIMIT_S) for activity in activities]
        reached = [(activity.heartbeat_details() or [0])[0] for activity in activities]
        job = submit_array(cluster, server, folder, attempts, items or max(reached) + 3, *flags)
        for number, item in enumerate(reached):
            log = folder / f"job-{job}-{number}.log"
            wait_for_text(log, "from item ")
            assert f"from item {item}, " in log.read_text()
            assert not (folder / str(number)).exists()
    assert [activity.result() for activity in activities] == [0, 0]


def test_cancelled_activity_ends_its_job(cluster: Cluster, server: Server, start: StartActivity, folder: Path) -> None:
    activity = start("workflow")
    job = submit_array(cluster, server, folder, [activity.next_attempt()], 1_000_000)
    wait_until(lambda: bool(activity.heartbeat_details()), "the first item", LIMIT_S)
    activity.request_cancel()
    assert isinstance(activity.failure(), CancelledError)
    cluster.wait_for_state(job, "FAILED")


def wait_for_text(path: Path, text: str) -> None:
    wait_until(lambda: path.exists() and text in path.read_text(), f"{text!r} in {path.name}", LIMIT_S)


def array_parent(cluster: Cluster, variables: Mapping[str, str], folder: Path, queue: str, *options: str) -> Process:
    """Returns array_parent.py, which submits with these options of sbatch."""
    solver = [str(SCRIPTS / "array.sh"), str(SCRIPTS.parent / "solver.sh"), "3"]
    command = [sys.executable, str(SCRIPTS / "array_parent.py"), queue, str(folder / "tokens"), *options, *solver]
    package = {"PYTHONPATH": str(ROOT / "bindings" / "python")}
    return Process(command, cluster.variables | package | dict(variables), merge_stderr=True)


def test_terminated_array_parent_submits_the_attempts_that_it_has_taken(
    cluster: Cluster, server: Server, sdk_worker: SdkWorker, folder: Path, tmp_path: Path
) -> None:
    sbatch = HeldProgram(Path(requires(shutil.which("sbatch"), "sbatch")), tmp_path)
    variables = job_variables(server)
    variables["PATH"] = f"{sbatch.directory}:{variables['PATH']}"
    queue = f"array-{uuid.uuid4()}"
    with array_parent(cluster, variables, folder, queue, f"--output={folder}/%A-%a.log") as parent:
        activity = EngineActivity(sdk_worker, "solve", queue, options=FOR_ARRAYS)
        sbatch.outlive_sigterm(parent)
    assert activity.result() == 0
    assert activity.attempt() == 1


def test_array_parent_fails_the_attempts_that_it_cannot_submit(
    cluster: Cluster, server: Server, sdk_worker: SdkWorker, folder: Path
) -> None:
    queue = f"array-{uuid.uuid4()}"
    with array_parent(cluster, job_variables(server), folder, queue, "--partition=absent"):
        activity = EngineActivity(sdk_worker, "solve", queue, options=FOR_ARRAYS)
        wait_until(lambda: bool(activity.last_failure().message), "a failure", LIMIT_S)
    assert "invalid partition" in activity.last_failure().message


class Parent:
    """The worker of submitit_parent.py, and an activity of it."""

    def __init__(self, server: Server, cluster: Cluster, sdk_worker: SdkWorker, folder: Path, items: int) -> None:
        self.cluster = cluster
        self.logs = folder / "submitit"
        queue = f"submitit-{uuid.uuid4()}"
        variables = cluster.variables | job_variables(server) | {"PYTHONPATH": str(ROOT / "bindings" / "python")}
        command = [sys.executable, str(SCRIPTS / "submitit_parent.py"), queue, str(self.logs)]
        self.process = Process(command, variables, merge_stderr=True)
        options = ActivityOptions(heartbeat_timeout_ms=SUBMITIT_TIMEOUT_MS, start_to_close_ms=AN_HOUR_MS)
        self.activity = EngineActivity(sdk_worker, "solve", queue, [items], options)

    def jobs(self) -> list[str]:
        """Returns the jobs of the attempts in their order."""
        return sorted((path.name.partition("_")[0] for path in self.logs.glob("*_submission.sh")), key=int)

    def items_of(self, job: str) -> list[int]:
        logs = self.logs.glob(f"{job}_*_log.out")
        return [int(item) for log in logs for item in re.findall(r"^item (\d+)$", log.read_text(), re.MULTILINE)]

    def wait_for_items(self, attempt: int, items: int) -> str:
        """Waits until an attempt has worked on this many items, and returns its job."""
        wait_until(
            lambda: len(self.jobs()) >= attempt and len(self.items_of(self.jobs()[attempt - 1])) >= items,
            f"{items} items of attempt {attempt}",
            LIMIT_S,
        )
        return self.jobs()[attempt - 1]

    def node_of(self, job: str) -> str:
        return self.cluster.run("squeue", "--noheader", f"--job={job}", "--format=%N")

    def wait_for_heartbeat(self) -> None:
        before = self.activity.last_heartbeat_ns()
        wait_until(lambda: self.activity.last_heartbeat_ns() > before, "a heartbeat of the parent")


@pytest.fixture
def start_parent(
    server: Server, cluster: Cluster, sdk_worker: SdkWorker, folder: Path
) -> Iterator[Callable[[], Parent]]:
    with contextlib.ExitStack() as stack:

        def begin() -> Parent:
            running = Parent(server, cluster, sdk_worker, folder, ITEMS)
            stack.enter_context(running.process)
            return running

        yield begin
    for log in sorted((folder / "submitit").glob("*_log.*")):
        print(f"--- {log.name}\n{log.read_text()}")


def test_submitit_job_resumes(start_parent: Callable[[], Parent]) -> None:
    parent = start_parent()
    first = parent.wait_for_items(1, 5)
    parent.cluster.kill_processes(parent.node_of(first))
    second = parent.wait_for_items(2, 5)
    parent.cluster.run("scancel", second)
    third = parent.wait_for_items(3, 1)
    assert parent.activity.last_failure().application_failure_info.type == "Terminated"
    assert parent.activity.result() == ITEMS
    done = [parent.items_of(job) for job in (first, second, third)]
    assert done[0] == list(range(len(done[0])))
    for earlier, later in itertools.pairwise(done):
        assert 0 < later[0] <= earlier[-1] + 1
        assert later == list(range(later[0], later[-1] + 1))
    assert done[2][-1] == ITEMS - 1


@contextmanager
def blocked_nodes(cluster: Cluster) -> Iterator[None]:
    """Fills both nodes, so that other jobs wait in the queue."""
    job = cluster.submit("--partition=high", "--nodes=2", "--exclusive", "--wrap=sleep 600")
    try:
        cluster.wait_for_state(job, "RUNNING")
        yield
    finally:
        cluster.run("scancel", job)


def test_attempt_lives_while_its_submitit_job_waits_in_the_queue(
    cluster: Cluster, start_parent: Callable[[], Parent]
) -> None:
    with blocked_nodes(cluster):
        parent = start_parent()
        wait_until(lambda: bool(parent.jobs()), "the job of the attempt", LIMIT_S)
        for _ in range(5):  # together longer than the heartbeat timeout
            parent.wait_for_heartbeat()
    assert parent.activity.result() == ITEMS
    assert len(parent.jobs()) == 1


def test_cancelled_attempt_leaves_the_queue(cluster: Cluster, start_parent: Callable[[], Parent]) -> None:
    with blocked_nodes(cluster):
        parent = start_parent()
        wait_until(lambda: bool(parent.jobs()), "the job of the attempt", LIMIT_S)
        parent.activity.cancel()
        cluster.wait_for_state(parent.jobs()[0], "CANCELLED")


@pytest.fixture
def slurm_port() -> Iterator[str]:
    """A port for the reader's cluster. If the reader doesn't end the cluster, it is killed with its jobs."""
    port = str(free_port())
    yield port
    left = processes_with(f"SLURM_PORT={port}")
    kill_at_once([*daemons_of(left), *left])


def test_page_is_followed_from_its_top(server: Server, slurm_port: str, tmp_path: Path) -> None:
    variables = job_variables(server) | {
        "PATH": f"{program().parent}:{find_program().parent}:{VENV_BIN}:{os.environ['PATH']}",
        "PYTHONPATH": str(ROOT / "bindings" / "python"),
        "SLURM_PORT": slurm_port,
    }

    def logs() -> str:
        return "".join(path.read_text() for path in tmp_path.glob("solve-*.log"))

    def array_works() -> bool:
        """Returns whether two jobs work on items, beside those of the workers."""
        texts = [path.read_text() for path in tmp_path.glob("solve-*.log")]
        return sum("\n5\n" in text for text in texts if "waiting for tasks" not in text) == 2

    def said() -> str:
        path = tmp_path / "said"  # the reader's shell creates it
        return path.read_text() if path.exists() else ""

    def folders() -> set[Path]:
        return set(Path("/tmp").glob("slurm-*"))

    existing = folders()

    def works_on_fit() -> bool:
        outputs = [path for folder in folders() - existing for path in folder.glob("jobs/*.out")]
        return any("item 5" in path.read_text() for path in outputs)

    done = read(
        "slurm.md",
        tmp_path,
        variables,
        [
            lambda: wait_until(lambda: "idle" in said(), "the cluster", LIMIT_S),
            lambda: wait_until(lambda: "\n10\n" in logs(), "ten items", LIMIT_S),
            lambda: wait_until(lambda: "attempt 2" in logs(), "the next attempt", LIMIT_S),
            lambda: wait_until(lambda: said().count("Result") > 0, "the result", LIMIT_S),
            lambda: wait_until(array_works, "some items of each task of the array", LIMIT_S),
            lambda: wait_until(lambda: said().count("Result") > 2, "the results of the array", LIMIT_S),
            lambda: wait_until(works_on_fit, "some items of the function", LIMIT_S),
            lambda: wait_until(lambda: said().count("Result") > 3, "the result of the function", LIMIT_S),
        ],
    )
    assert "attempt 3" not in logs()
    assert len(re.findall(r"Result +0\b", done)) == 3, done
    assert re.search(r"Result +200\b", done), done
