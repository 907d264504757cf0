"""Where a run is reported: `report_to=` names, and the callbacks behind them, imported when named.

    tensorboard   event files under output_dir/runs       needs tensorboard
    wandb         Weights & Biases                        needs wandb
    mlflow        an MLflow run                           needs mlflow
    csv           output_dir/metrics.csv                  a row per log
    json          output_dir/metrics.jsonl                a line per log
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from importlib import import_module
from importlib.util import find_spec
from typing import Any

from enfold.errors import ConfigError, nearest
from enfold.train.callbacks.callback import TrainerCallback

_HERE = "enfold.train.callbacks.reporters"
REPORTERS = {"tensorboard": (f"{_HERE}.tensorboard", "TensorBoardCallback", "tensorboard"),
             "wandb": (f"{_HERE}.wandb", "WandbCallback", "wandb"),
             "mlflow": (f"{_HERE}.mlflow", "MLflowCallback", "mlflow"),
             "csv": (f"{_HERE}.tables", "CSVCallback", ""),
             "json": (f"{_HERE}.tables", "JSONCallback", "")}
ELSEWHERE = ("azure_ml", "clearml", "codecarbon", "comet_ml", "dagshub", "dvclive", "flyte",
             "kubeflow", "neptune", "swanlab", "trackio")


def get_available_reporting_integrations() -> list[str]:
    """The names whose packages are installed, of those that "all" stands for."""
    return [name for name, (_, _, package) in REPORTERS.items() if package and find_spec(package)]


def get_reporting_integration_callbacks(report_to: str | Iterable[str] | None
                                        ) -> list[type[TrainerCallback]]:
    """The callback classes of `report_to`: a name, several, "all", "none" or None.

    Raises ConfigError for a name that does not exist, NotImplementedError for a service that has
    no callback here, DependencyError if its package is not installed.
    """
    names = [report_to] if isinstance(report_to, str) else list(report_to or ())
    if "all" in names:
        names = get_available_reporting_integrations()
    return [_reporter(name) for name in names if name != "none"]


def _reporter(name: str) -> type[TrainerCallback]:
    if name in ELSEWHERE:
        raise NotImplementedError(f"report_to={name!r}: there is no callback for it here; there "
                                  f"are {', '.join(REPORTERS)}. Do: leave it out of report_to and "
                                  "pass callbacks=[...] with one of your own (a TrainerCallback "
                                  "with on_log)")
    if name not in REPORTERS:
        raise ConfigError(f"report_to: got {name!r}, expected 'none', 'all' or of "
                          f"{', '.join(REPORTERS)}{nearest(name, REPORTERS)}")
    module, cls, _ = REPORTERS[name]
    return getattr(import_module(module), cls)  # type: ignore[no-any-return]


def rewrite_logs(logs: Mapping[str, Any]) -> dict[str, Any]:
    """Names as dashboards group them: eval/..., test/..., and train/... for all else."""
    return {f"{name[:4]}/{name[5:]}" if name.startswith(("eval_", "test_")) else f"train/{name}":
            value for name, value in logs.items()}
