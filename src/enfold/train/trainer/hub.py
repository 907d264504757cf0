"""Uploads of a run, and its model card.

With `args.push_to_hub`, `args.hub_strategy` says what is uploaded:

    end               what `push_to_hub()` is called for
    every_save        the model, whenever a checkpoint is written
    checkpoint        and that checkpoint, as `last-checkpoint`, to resume from elsewhere
    all_checkpoints   and each checkpoint, under its name

Training goes on while a checkpoint is uploaded; those written meanwhile are passed over, or wait
for their turn with `args.hub_always_push`.  The end of training waits for all of them.
"""

from __future__ import annotations

import os
import shutil
import tempfile
from concurrent.futures import Future, ThreadPoolExecutor
from logging import getLogger
from pathlib import Path
from typing import Any

from enfold.files import create_repository, push_to_hub
from enfold.files.atomic import STAGING
from enfold.train.trainer.saving import STATE, Saving

_log = getLogger(__name__)
OF_THE_RUN = ("optimizer", "scheduler.pt", "scaler.pt", "rng_state", "progress", STATE)


class Hub(Saving):
    """`push_to_hub` and `create_model_card`."""

    hub_model_id: str | None = None
    _uploads: tuple[Future[Any], ...] = ()  # those that were not looked at yet
    _uploader: ThreadPoolExecutor | None = None

    def init_hf_repo(self, token: str | None = None) -> None:
        """Create the repository that is uploaded to, so that a wrong token fails at the start."""
        name = str(self.args.hub_model_id or Path(self.args.output_dir).absolute().name)
        if self.is_world_process_zero():
            name = create_repository(name, token=token or self.args.hub_token,
                                     private=self.args.hub_private_repo,
                                     revision=self.args.hub_revision)
        self.hub_model_id = name

    def push_to_hub(self, commit_message: str | None = "End of training",
                    blocking: bool = True, token: str | None = None, revision: str | None = None,
                    **kwargs: Any) -> Any:
        """Save the model with a card into `args.output_dir`, and upload that without checkpoints.

        kwargs: of `create_model_card`.  Returns the commit, or with blocking=False its Future.
        """
        if self.hub_model_id is None:
            self.init_hf_repo(token)
        self.create_model_card(**kwargs)
        if not self.args.should_save:
            return None
        self.call("on_push_begin")
        self._finish_current_push()
        folder = Path(self.args.output_dir)
        self._save(str(folder))
        staging = self._staged(folder)
        upload = self._send(staging, str(commit_message), token, revision)
        if not blocking:
            return upload
        self._uploads = ()
        return upload.result()

    def create_model_card(self, **fields: Any) -> None:
        """Write README.md into `args.output_dir`: what was trained, on what, how well.

        fields: language, license, tags, model_name, finetuned_from, tasks, dataset_tags, dataset,
        dataset_args.
        """
        from enfold.train.card import model_card

        if self.is_world_process_zero():
            text = model_card(self, **fields)
            (Path(self.args.output_dir) / "README.md").write_text(text, encoding="utf-8")

    # ---- checkpoints -----------------------------------------------------------------------------
    def _push_from_checkpoint(self, checkpoint_folder: str | os.PathLike[str]) -> None:
        """Upload a checkpoint that was written, as `args.hub_strategy` says."""
        args, folder = self.args, Path(checkpoint_folder)
        strategy = str(getattr(args.hub_strategy, "value", args.hub_strategy))
        if not args.push_to_hub or strategy == "end" or not self.is_world_process_zero():
            return
        self._say_what_failed()
        if self._uploads and not args.hub_always_push:
            _log.info("%s is not uploaded, because an upload is still on its way", folder.name)
            return
        staging = self._staged(folder)
        if strategy != "every_save":
            within = "last-checkpoint" if strategy == "checkpoint" else folder.name
            _link(folder, staging / within, ())
        self._send(staging, f"Training in progress, step {folder.name.rpartition('-')[2]}")

    def _staged(self, folder: Path) -> Path:
        """A folder beside with the model's files of this one, which may be deleted meanwhile."""
        staging = Path(tempfile.mkdtemp(dir=self.args.output_dir,
                                        prefix=f"{STAGING}{os.getpid()}-"))
        _link(folder, staging, (*OF_THE_RUN, "checkpoint-", "runs", "."))
        return staging

    def _send(self, staging: Path, message: str, token: str | None = None,
              revision: str | None = None) -> Future[Any]:
        args = self.args
        self._uploader = self._uploader or ThreadPoolExecutor(1, "upload")

        def send() -> Any:
            try:
                return push_to_hub(staging, str(self.hub_model_id), token=token or args.hub_token,
                                   private=args.hub_private_repo, commit_message=message,
                                   revision=revision or args.hub_revision)
            finally:
                shutil.rmtree(staging, ignore_errors=True)

        upload = self._uploader.submit(send)
        self._uploads += (upload,)
        return upload

    def _finish_current_push(self) -> None:
        """Wait for the uploads that were begun."""
        if self._uploader is not None:
            self._uploader.shutdown()
            self._uploader = None
        self._say_what_failed()

    def _forget_uploads(self) -> None:
        """Leave out the uploads that wait for their turn."""
        if self._uploader is not None:
            self._uploader.shutdown(wait=False, cancel_futures=True)
            self._uploader, self._uploads = None, ()

    def _say_what_failed(self) -> None:
        """A failed upload ends no run: what was to be uploaded is on the disk."""
        done = [upload for upload in self._uploads if upload.done()]
        self._uploads = tuple(upload for upload in self._uploads if upload not in done)
        for error in (upload.exception() for upload in done):
            if error is not None:
                _log.error("a checkpoint was not uploaded: %s. Training goes on; push_to_hub() "
                           "uploads the model once more", error)


def _link(folder: Path, target: Path, left_out: tuple[str, ...]) -> None:
    """The files of a folder under a second name, or copied where there are no links."""
    target.mkdir(exist_ok=True)
    for path in folder.iterdir():
        if path.name.startswith(left_out) if left_out else False:
            continue
        if path.is_dir():
            _link(path, target / path.name, ())
            continue
        try:
            os.link(path, target / path.name)
        except OSError:
            shutil.copy2(path, target / path.name)
