"""Pipeline: what the tasks share.  A task's class is three steps:

    pre      a window of items -> token rows (one tokenizer call)
    forward  a batch of rows   -> one small result per row, computed for the batch at once
    post     an item, its rows and their results -> what the user gets

The scheduler (batching.py) sits between `pre` and `forward`; only a window of the inputs is held.
"""

from __future__ import annotations

import logging
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Iterator, Sequence
from functools import partial
from typing import TYPE_CHECKING, Any, ClassVar, Generic

from enfold.errors import InputError, TaskError
from enfold.tasks import batching, checks, streams
from enfold.tasks.batching import Batch, Row, Scheduler
from enfold.tasks.options import O, parse

if TYPE_CHECKING:
    import os

    import torch

logger = logging.getLogger(__name__)
RUN = ("batch_size", "num_workers", "progress")
LOADING = (*RUN, "model", "tokenizer", "config", "revision", "token", "device", "device_map",
           "dtype", "torch_dtype", "model_kwargs", "trust_remote_code")  # of pipeline()


class Pipeline(ABC, Generic[O]):
    """A task on a model: `pipe(text)`, `pipe([texts])`, `pipe(generator)`.

    model       a model with the head that the task needs; set to eval mode
    tokenizer   its tokenizer
    device      int (-1: CPU), str or `torch.device`; None: the accelerator if there is one
    batch_size  rows per batch; None: sorted by length and batched by a budget of tokens
    progress    True, False, or a tqdm-like callable; None: a bar for long lists on a terminal
    num_workers taken for compatibility: texts are tokenized by the window, no worker is needed

    Other arguments are defaults for the task's call arguments (class `Options` of its file).

    A string gives one result, a list a list, a generator or data set an iterator that computes as
    it is read.  A generator that waits for an answer before its next item needs `batch_size=1`.
    """

    name: ClassVar[str]
    options: ClassVar[Callable[..., Any]]

    def __init__(self, model: Any, tokenizer: Any = None, *, task: str = "", device: Any = None,
                 feature_extractor: Any = None, image_processor: Any = None, processor: Any = None,
                 framework: str | None = "pt", **defaults: Any) -> None:
        _only_torch(framework)
        self.task = task or self.name
        self.model = model
        other = getattr(processor, "tokenizer", None)
        self.tokenizer: Any = other if tokenizer is None else tokenizer
        self.feature_extractor, self.image_processor = feature_extractor, image_processor
        self.processor = processor
        checks.want_head(model, self.name)
        checks.want_tokenizer(self.tokenizer, self.task)
        self.device = place(model, device)
        model.eval()
        self._run = {name: defaults.pop(name, None) for name in RUN}
        self._defaults = defaults
        self._accepts = checks.accepted_inputs(model)
        self._limit = checks.position_limit(model)
        self.scheduler = self._scheduler()
        parse(self.options, defaults, self.task, LOADING)  # an unknown argument raises here already

    # ---- the three steps -------------------------------------------------------------------------
    @abstractmethod
    def pre(self, window: Sequence[Any], options: O) -> list[Row]:
        """Token rows of a window of items, each item's rows together and in order."""

    @abstractmethod
    def forward(self, batch: Batch, options: O) -> Sequence[Any]:
        """One result per row of the batch."""

    @abstractmethod
    def post(self, item: Any, rows: list[tuple[Row, Any]], options: O) -> Any:
        """What the user gets for `item`, from its rows and their results."""

    # ---- hooks -----------------------------------------------------------------------------------
    def resolve(self, options: O) -> O:
        """Options with what depends on the model or tokenizer filled in, once per call."""
        return options

    def rows_per_item(self, options: O) -> int:
        """How many rows an item becomes, as far as it is known: windows hold fewer such items."""
        return 1

    def ragged(self, options: O) -> bool:
        """Whether rows of different lengths give in one batch what each gives alone."""
        return True

    def batch_limit(self, options: O) -> int | None:
        """Rows per batch that this task or its arguments allow; None: any number."""
        return None

    # ---- calls -----------------------------------------------------------------------------------
    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        """Results for one item, a list or a stream."""
        if len(args) != 1:
            raise InputError(f"{self.task}: got {len(args)} positional arguments, expected one. "
                             "Do: pass a text, or a list of them; all else by name")
        return self.apply(args[0], kwargs)

    def apply(self, inputs: Any, arguments: dict[str, Any]) -> Any:
        """Run one item, or each of many."""
        run = {name: arguments.pop(name, None) or self._run[name] for name in RUN}
        options = self.resolve(parse(self.options, {**self._defaults, **arguments}, self.task))
        if not streams.is_many(inputs):
            return next(self._results(iter([inputs]), options, run["batch_size"], live=False))
        items, length = streams.iterate(inputs), streams.length_of(inputs)
        results = self._results(items, options, run["batch_size"], live=length is None)
        results = streams.with_progress(results, length, run["progress"], self.task)
        if isinstance(inputs, (list, tuple)):
            return list(results)
        return streams.Stream(results, length)

    def _results(self, items: Iterator[Any], options: O, size: int | None, *,
                 live: bool) -> Iterator[Any]:
        held = max(1, streams.WINDOW // self.rows_per_item(options))
        step = partial(self.forward, options=options)
        limits = [limit for limit in (size, self.batch_limit(options)) if limit is not None]
        for window in streams.windows(items, 1 if size == 1 and live else held, live=live):
            rows = self.pre(window, options)
            checks.check_lengths(rows, self._limit, self.task)
            outputs = self.scheduler.run(rows, step, size=min(limits, default=None),
                                         ragged=self.ragged(options))
            groups: list[list[tuple[Row, Any]]] = [[] for _ in window]
            for row, output in zip(rows, outputs, strict=True):
                groups[row.item].append((row, output))
            for item, group in zip(window, groups, strict=True):
                yield self.post(item, group, options)

    # ---- helpers of the tasks --------------------------------------------------------------------
    def encode(self, texts: Any, pairs: Any = None, **kwargs: Any) -> Any:
        """Token ids of many texts as lists of their own length."""
        if kwargs.get("padding") in (True, "longest"):
            kwargs.pop("padding")  # the scheduler pads to the longest of a batch
        both = {"text": texts} if pairs is None else {"text": texts, "text_pair": pairs}
        return self.tokenizer(**both, **kwargs)

    def rows_of(self, encoded: Any, items: Iterable[int]) -> list[Row]:
        """A row per line of a tokenizer's result; `items` gives each line's place in the window."""
        inputs = {*self.tokenizer.model_input_names, "token_type_ids"}
        columns = {name: encoded[name] for name in encoded if name in inputs and self.takes(name)}
        return [Row(item, {name: column[line] for name, column in columns.items()})
                for line, item in enumerate(items)]

    def takes(self, name: str) -> bool:
        """Whether the model's forward has an argument of this name."""
        return self._accepts is None or name in self._accepts

    def run_model(self, batch: Batch) -> Any:
        """The model's output for a batch."""
        cache = {"use_cache": False} if self._accepts and "use_cache" in self._accepts else {}
        try:
            return self.model(**batch.inputs, **cache)
        except (IndexError, RuntimeError) as error:
            raise checks.explain(error, batch.lengths, self.model, self.task) from error

    def _scheduler(self) -> Scheduler:
        pad = self.model.config.to_dict().get("pad_token_id")
        pad = pad if isinstance(pad, int) else self.tokenizer.pad_token_id
        gpu = self.device.type != "cpu"
        return Scheduler({"input_ids": pad or 0,
                          "token_type_ids": getattr(self.tokenizer, "pad_token_type_id", 0)},
                         self.device, budget=batching.GPU_BUDGET if gpu else batching.CPU_BUDGET,
                         overhead=batching.GPU_OVERHEAD if gpu else batching.CPU_OVERHEAD)

    # ---- as theirs -------------------------------------------------------------------------------
    @property
    def dtype(self) -> torch.dtype:
        """The model's dtype."""
        return self.model.dtype  # type: ignore[no-any-return]

    torch_dtype = dtype

    def predict(self, inputs: Any) -> Any:
        """The same as calling the pipeline."""
        return self(inputs)

    transform = predict

    def save_pretrained(self, folder: str | os.PathLike[str], **kwargs: Any) -> None:
        """Save the model (with `kwargs` as its `save_pretrained` takes) and the tokenizer."""
        self.model.save_pretrained(folder, **kwargs)
        self.tokenizer.save_pretrained(folder)

    def __repr__(self) -> str:
        model = type(self.model).__name__
        return f"{type(self).__name__}(task={self.task!r}, model={model}, device={self.device})"


def place(model: Any, device: Any) -> torch.device:
    """Move `model` to `device` and return it; a model that was spread by `device_map` stays."""
    import torch

    spread = getattr(model, "hf_device_map", None)
    if spread is not None and (device is None or len(set(spread.values())) > 1):
        if device is not None:
            raise TaskError("the model was spread by device_map over "
                            f"{sorted(map(str, set(spread.values())))}, so device={device!r} can't "
                            "move it. Do: leave device= out")
        return torch.device(model.device)
    target = model.device if device == -1 and model.device.type != "meta" else find_device(device)
    if model.device != target:
        model.to(target)
    return torch.device(model.device)


def find_device(device: Any) -> torch.device:
    """A device from an index, a name or None: the accelerator, or the CPU where there is none."""
    import torch

    from enfold.weights.place.devices import as_device

    if isinstance(device, (str, torch.device)):
        return as_device(device, "device")
    if device is not None and (not isinstance(device, int) or device < -1):
        raise InputError(f"device={device!r}: expected an index, -1, a name as 'cuda:0', "
                         "or a torch.device")
    found = torch.accelerator.current_accelerator() if torch.accelerator.is_available() else None
    if found is None and device not in (None, -1):
        logger.warning("device=%s: torch sees no accelerator, the CPU is used", device)
    if found is None or device == -1:
        return torch.device("cpu")
    return torch.device(found.type, device or 0)


def _only_torch(framework: str | None) -> None:
    if framework not in (None, "pt"):
        raise NotImplementedError(f"framework={framework!r}: only PyTorch models are supported. "
                                  "Do: leave framework= out, or convert the checkpoint to PyTorch")
