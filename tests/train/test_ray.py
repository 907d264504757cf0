"""A script on a Ray cluster: on Ray if it is installed, else on a stand-in of the calls used."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable, Iterator
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any

import pytest

from enfold.cli import main
from enfold.errors import DependencyError, InputError
from enfold.train.ray import RunFailed, launch
from tests.families.pairs import checkpoint
from tests.train.parallel import worker
from tests.train.trainer.runs import rows

try:
    import ray as real
except ImportError:
    real = None

SCRIPT = """\
import os, sys, time
from pathlib import Path
rank, world = os.environ["RANK"], os.environ["WORLD_SIZE"]
life = int(os.environ["TORCHELASTIC_RESTART_COUNT"])
Path(f"{rank}-{life}.txt").write_text(f"{world} {sys.argv[1:]} {os.environ['OMP_NUM_THREADS']}")
if "--fail" in sys.argv and rank == "1":
    sys.exit(3)
if "--once" in sys.argv and not life:
    if rank == "1":
        os.kill(os.getpid(), 9)
    time.sleep(60)  # until torchrun ends it
"""


class NoTime(Exception):
    pass


class StandIn(ModuleType):
    """Actors are objects here, their calls run in threads; there are two CPUs."""

    def __init__(self) -> None:
        super().__init__("ray")
        self.exceptions = SimpleNamespace(RayError=OSError, GetTimeoutError=NoTime)
        self.pool = ThreadPoolExecutor(8)
        self.util = SimpleNamespace(
            placement_group=lambda needs, strategy: SimpleNamespace(
                ready=lambda: self.later(int) if sum(n["CPU"] for n in needs) <= 2 else Future()),
            remove_placement_group=lambda group: None, get_node_ip_address=lambda: "127.0.0.1",
            scheduling_strategies=SimpleNamespace(PlacementGroupSchedulingStrategy=SimpleNamespace))

    def is_initialized(self) -> bool:
        return True

    def get_runtime_context(self) -> SimpleNamespace:
        return SimpleNamespace(gcs_address="127.0.0.1:6379")

    def cluster_resources(self) -> dict[str, float]:
        return {"CPU": 2.0}

    available_resources = cluster_resources

    def later(self, call: Callable[..., Any], *arguments: Any) -> Future[Any]:
        return self.pool.submit(call, *arguments)

    def remote(self, kind: type) -> Any:
        def made() -> Any:
            actor = kind()
            return SimpleNamespace(**{name: SimpleNamespace(
                remote=lambda *given, name=name: self.later(getattr(actor, name), *given))
                for name in ("meeting_place", "run", "stop")})
        return SimpleNamespace(options=lambda **options: SimpleNamespace(remote=made))

    def wait(self, refs: list[Any], num_returns: int, timeout: float | None = None) -> Any:
        done, left = wait(refs, timeout, FIRST_COMPLETED)
        return list(done)[:num_returns], list(left)

    def get(self, ref: Any, timeout: float | None = None) -> Any:
        try:
            return ref.result(timeout)
        except TimeoutError as error:
            raise NoTime from error


@pytest.fixture(scope="module")
def cluster() -> Iterator[None]:
    if real is None:
        with pytest.MonkeyPatch.context() as patch:
            patch.setitem(sys.modules, "ray", StandIn())
            yield
        return
    real.init(num_cpus=2, include_dashboard=False, logging_level="ERROR", log_to_driver=False)
    yield
    real.shutdown()


@pytest.fixture
def script(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "run.py").write_text(SCRIPT)
    return tmp_path / "run.py"


def test_trains_as_one_process_does(cluster: None, tmp_path: Path) -> None:
    case = {"model": str(checkpoint("llama", "ForCausalLM")), "head": "AutoModelForCausalLM",
            "rows": rows("causal", 26)}
    one = worker.run(**case, output_dir=str(tmp_path / "one"), arguments={
        "per_device_train_batch_size": 4, "max_steps": 3})
    (tmp_path / "runs").write_text(json.dumps([case | {
        "output_dir": str(tmp_path / "two"), "arguments": {
            "per_device_train_batch_size": 2, "max_steps": 3}}]))
    launch(worker.__file__, [str(tmp_path / "runs")], nnodes=2)
    two = json.loads((tmp_path / "runs.out").read_text())[0]
    assert two["ranks"] == 2
    losses = [[entry["loss"] for entry in run["log"] if "loss" in entry] for run in (one, two)]
    assert len(losses[0]) == 3
    assert losses[1] == pytest.approx(losses[0], abs=1e-5)


def test_places_and_processes(cluster: None, script: Path) -> None:
    assert main(["launch", "--ray", "-n", "2", str(script), "--lr", "3e-5"]) == 0
    assert [(script.parent / f"{rank}-0.txt").read_text() for rank in range(2)] == [
        "2 ['--lr', '3e-5'] 1"] * 2


def test_all_start_again_when_one_is_killed(cluster: None, script: Path) -> None:
    launch(script, ["--once"], nproc_per_node=2, max_restarts=1)
    assert {path.name for path in script.parent.glob("*.txt")} >= {"0-1.txt", "1-1.txt"}


def test_a_place_that_fails_ends_the_others(cluster: None, script: Path) -> None:
    with pytest.raises(RunFailed, match=r"place 1 of 2 failed \(exit code 1\); what it printed"):
        launch(script, ["--fail"], nnodes=2)


def test_no_room(cluster: None, script: Path) -> None:
    with pytest.raises(InputError, match=r"no room for 2 places of {'CPU': 3} in 0.1 seconds.*"
                                         r"{'CPU': 2.0} free"):
        launch(script, nnodes=2, nproc_per_node=3, patience=0.1)
    with pytest.raises(InputError, match="got nnodes=0 and nproc_per_node=1, expected 1 or more"):
        launch(script, nnodes=0)


def test_without_ray_the_extra_is_named(script: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "ray", None)
    with pytest.raises(DependencyError, match=r"pip install 'enfold\[ray\]'"):
        launch(script)
    done = subprocess.run([sys.executable, "-c", "import sys; sys.modules['ray'] = None\n"
                           "from enfold.cli import main; sys.exit(main())", "launch", "--ray",
                           str(script)], capture_output=True, text=True)
    assert (done.returncode, done.stderr) == (
        1, "enfold launch: this needs the package 'ray', which is not installed. "
           "Do: pip install 'enfold[ray]'\n")
