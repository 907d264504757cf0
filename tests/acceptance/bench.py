"""Models and tokenizers to misuse, and ways to break them."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from tokenizers import ByteLevelBPETokenizer

import enfold
from enfold import (
    AutoModel,
    AutoModelForCausalLM,
    AutoModelForSequenceClassification,
    AutoTokenizer,
    pipeline,
)
from enfold.files import open_checkpoint, write_checkpoint
from tests.tiny import PANGRAMS

IDS = torch.tensor([[5, 6, 7]])
LABEL = "distilbert.transformer.layer.0.ffn.lin1.weight"


class Bench:
    """Models and tokenizers in the current folder, and ways to break copies of them."""

    def __init__(self, vocabulary: Path) -> None:
        torch.manual_seed(0)
        words = AutoTokenizer.from_pretrained(vocabulary, model_max_length=32)
        config = enfold.DistilBertConfig(
            vocab_size=len(words),
            dim=16,
            hidden_dim=32,
            n_layers=1,
            n_heads=2,
            max_position_embeddings=32,
            id2label={0: "BAD", 1: "GOOD"},
        )
        self.classifier = enfold.DistilBertForSequenceClassification(config).eval()
        self.words = words
        engine = ByteLevelBPETokenizer()
        engine.train_from_iterator(
            [PANGRAMS], vocab_size=280, special_tokens=["<end>"], show_progress=False
        )
        self.letters = enfold.GPT2Tokenizer(
            tokenizer_object=engine._tokenizer,
            bos_token="<end>",
            eos_token="<end>",
            unk_token="<end>",
        )
        self.gpt = enfold.GPT2LMHeadModel(
            enfold.GPT2Config(
                vocab_size=280,
                n_embd=16,
                n_layer=1,
                n_head=2,
                n_positions=32,
                bos_token_id=0,
                eos_token_id=0,
            )
        ).eval()
        self.t5 = enfold.T5ForConditionalGeneration(
            enfold.T5Config(vocab_size=40, d_model=16, d_kv=8, d_ff=16, num_layers=1, num_heads=2)
        ).eval()
        self.t5.save_pretrained("t5")
        for model, tokenizer, name in (
            (self.classifier, words, "classifier"),
            (self.gpt, self.letters, "gpt"),
        ):
            model.save_pretrained(name)
            tokenizer.save_pretrained(name)
        self.count = 0

    def copy(self, name: str = "classifier", **files: str | bytes | None) -> str:
        """A copy of a checkpoint with files replaced, or taken away (None); `__` is a dot."""
        self.count += 1
        folder = Path(f"./broken{self.count}")
        shutil.copytree(name, folder)
        for key, content in files.items():
            path = folder / key.replace("__", ".")
            if content is None:
                path.unlink()
            else:
                path.write_bytes(content.encode() if isinstance(content, str) else content)
        return f"./{folder}"

    def config(self, **changes: Any) -> str:
        values = json.loads(Path("classifier/config.json").read_text())
        return self.copy(config__json=json.dumps(values | changes))

    def weights(self, change: Callable[[dict[str, Any]], Any]) -> str:
        checkpoint = open_checkpoint("classifier", enfold.files.HubOptions())
        tensors = {key: checkpoint.get(key) for key in checkpoint.keys()}  # noqa: SIM118
        change(tensors)
        folder = self.copy()
        write_checkpoint(folder, tensors)
        return folder

    def cut(self, size: int) -> str:
        whole = Path("classifier/model.safetensors").read_bytes()
        return self.copy(model__safetensors=whole[:size])

    def index(self, content: str) -> str:
        return self.copy(model__safetensors=None, model__safetensors__index__json=content)

    def pickled(self, value: Any) -> str:
        torch.save(value, "pickle")
        return self.copy(model__safetensors=None, pytorch_model__bin=Path("pickle").read_bytes())

    def classify(self, text: Any, **options: Any) -> Any:
        return pipeline("text-classification", model="classifier")(text, **options)

    def headed(self, cls: Any, task: str, tokenizer: Any) -> Any:
        model = self.gpt if tokenizer is self.letters else self.classifier
        return pipeline(task, model=cls(model.config), tokenizer=tokenizer)


class Code:
    """A pickle of this runs a command where it is loaded."""

    def __reduce__(self) -> Any:
        return os.system, ("touch owned",)


load, classifier_from, lm_from = (
    cls.from_pretrained
    for cls in (AutoModel, AutoModelForSequenceClassification, AutoModelForCausalLM)
)
Use = tuple[Callable[[Bench], Any], type[Exception], str]
