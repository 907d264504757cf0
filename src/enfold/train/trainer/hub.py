"""Uploads of a run, and its model card."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from enfold.train.trainer.saving import Saving


class Hub(Saving):
    """`push_to_hub` and `create_model_card`."""

    hub_model_id: str | None = None

    def init_hf_repo(self, token: str | None = None) -> None:
        """Settle which repository is uploaded to."""
        name = self.args.hub_model_id or Path(self.args.output_dir).absolute().name
        self.hub_model_id = str(name)

    def push_to_hub(self, commit_message: str | None = "End of training",
                    blocking: bool = True, token: str | None = None, revision: str | None = None,
                    **kwargs: Any) -> Any:
        """Save the model with a card into `args.output_dir`, and upload that without checkpoints.

        blocking=False is not implemented: the call returns when all is there.
        """
        from tempfile import TemporaryDirectory

        from enfold.files import push_to_hub

        if not blocking:
            raise NotImplementedError("push_to_hub(blocking=False). Do: leave it out")
        if self.hub_model_id is None:
            self.init_hf_repo()
        self.create_model_card(**kwargs)
        if not self.args.should_save:
            return None
        self.call("on_push_begin")
        with TemporaryDirectory() as staging:
            self._save(staging)
            card = Path(self.args.output_dir) / "README.md"
            if card.is_file():
                (Path(staging) / card.name).write_bytes(card.read_bytes())
            return push_to_hub(staging, str(self.hub_model_id), token=token or self.args.hub_token,
                               private=self.args.hub_private_repo, commit_message=commit_message,
                               revision=revision or self.args.hub_revision)

    def create_model_card(self, **fields: Any) -> None:
        """Write README.md into `args.output_dir`: what was trained, on what, how well.

        fields: language, license, tags, model_name, finetuned_from, tasks, dataset_tags, dataset,
        dataset_args.
        """
        from enfold.train.card import model_card

        if self.is_world_process_zero():
            text = model_card(self, **fields)
            (Path(self.args.output_dir) / "README.md").write_text(text, encoding="utf-8")
