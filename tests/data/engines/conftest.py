"""A Ray cluster of two workers if Ray is installed, else a stand-in of the calls used."""

from __future__ import annotations

import pickle
import sys
from collections.abc import Iterator
from types import ModuleType, SimpleNamespace

import pytest

try:
    import ray as real
except ImportError:
    real = None


class RayError(Exception):
    pass


class StandIn(ModuleType):
    """Runs tasks in this process when their results are asked for; all goes through pickles."""

    def __init__(self) -> None:
        super().__init__("ray")
        self.exceptions = SimpleNamespace(RayError=RayError)
        self.here, self.calls, self.inits = False, 0, []

    def is_initialized(self) -> bool:
        return self.here

    def init(self, **options) -> None:
        self.here = True
        self.inits.append(options)

    def shutdown(self) -> None:
        self.here = False

    def cluster_resources(self) -> dict[str, float]:
        return {"CPU": 2.0}

    def get_runtime_context(self) -> SimpleNamespace:
        return SimpleNamespace(gcs_address="10.0.0.1:6379")

    def put(self, thing: object) -> Ref:
        return Ref(stored=pickle.dumps(thing, 5))

    def remote(self, **options):
        def decorate(function):
            return SimpleNamespace(remote=lambda *arguments: Ref((function, arguments)))
        return decorate

    def wait(self, refs: list, num_returns: int, timeout: float) -> tuple[list, list]:
        return refs[-num_returns:], refs[:-num_returns]  # not the order in which they began

    def get(self, ref: Ref) -> object:
        if ref.stored is None:
            function, arguments = ref.task
            self.calls += 1
            given = [self.get(one) if isinstance(one, Ref) else one for one in arguments]
            try:
                ref.stored = pickle.dumps(function(*given), 5)
            except SystemExit as error:
                raise RayError("The worker died unexpectedly.") from error
        return pickle.loads(ref.stored)

    def cancel(self, ref: Ref, force: bool) -> None:
        pass


class Ref:
    """A result that is there or to be computed."""

    def __init__(self, task: object = None, stored: bytes | None = None) -> None:
        self.task, self.stored = task, stored


@pytest.fixture(scope="session")
def cluster() -> Iterator[ModuleType]:
    if real is None:
        yield StandIn()
        return
    real.init(num_cpus=2, include_dashboard=False, logging_level="ERROR", log_to_driver=False)
    yield real
    real.shutdown()


@pytest.fixture
def ray(cluster: ModuleType, monkeypatch: pytest.MonkeyPatch, tmp_path) -> ModuleType:
    monkeypatch.setenv("ENFOLD_CACHE", str(tmp_path / "cache"))
    monkeypatch.setitem(sys.modules, "ray", cluster)
    if real is None:
        cluster.init()
    return cluster


@pytest.fixture
def stand_in(monkeypatch: pytest.MonkeyPatch, tmp_path) -> StandIn:
    """The stand-in, connected to nothing yet."""
    module = StandIn()
    monkeypatch.setenv("ENFOLD_CACHE", str(tmp_path / "cache"))
    monkeypatch.setitem(sys.modules, "ray", module)
    return module
