"""Engines of the inference benchmark behind one face; what is not installed is left out.

    Streamed(model).write(prompt, count) -> (seconds of reading the prompt, seconds of each token)
    enfold_reader(name, dtype)(ids)      -> hidden states of an encoder, as a function

Peers beside transformers come from PYTHONPATH: llama_cpp, ctranslate2, openvino, onnxruntime.
"""

from __future__ import annotations

import json
import os
import sys
import tempfile
from collections.abc import Callable
from importlib.util import find_spec
from itertools import pairwise
from pathlib import Path
from typing import Any

from _machine import clock, memory
from _models import checkpoint, minilm

THREADS = int(os.environ.get("OMP_NUM_THREADS", "1"))
Times = tuple[float, list[float]]
# formats of the weights: what bitsandbytes, torchao and llama.cpp call them
NF4 = {"load_in_4bit": True, "bnb_4bit_quant_type": "nf4", "bnb_4bit_compute_dtype": "bfloat16"}
TORCHAO: dict[str, dict[str, Any]] = {
    "int8": {"quant_type": "int8_dynamic_activation_int8_weight"},
    "int4": {"quant_type": "int4_weight_only", "group_size": 128},
    "int4-tiny": {"quant_type": "int4_weight_only", "group_size": 16}}
GGUF = {"bf16": "bf16", "int8": "q8_0", "int4": "q4_0"}


class Streamed:
    """A model with transformers' `generate`, timed by a streamer."""

    def __init__(self, model: Any) -> None:
        self.model = model

    def put(self, value: Any) -> None:
        self.times.append(clock())

    def end(self) -> None:
        """Nothing is left to show."""

    def write(self, prompt: list[int], count: int) -> Times:
        import torch

        self.times: list[float] = []
        self.model.generate(input_ids=torch.tensor([prompt]), max_new_tokens=count,
                            do_sample=False, streamer=self)
        start, first, *rest = self.times
        return first - start, [b - a for a, b in pairwise([first, *rest])]


class LlamaCpp:
    """llama.cpp through llama-cpp-python, from a GGUF file that enfold writes."""

    def __init__(self, path: Path, context: int) -> None:
        from llama_cpp import Llama

        self.model = Llama(str(path), n_ctx=context, n_batch=512, n_threads=THREADS, verbose=False,
                           n_threads_batch=THREADS, logits_all=False)

    def write(self, prompt: list[int], count: int) -> Times:
        self.model.reset()
        times = [clock()]
        self.model.eval(prompt)
        for _ in range(count):
            times.append(clock())
            self.model.eval([self.model.sample(temp=0.0)])
        spans = [b - a for a, b in pairwise(times)]
        return spans[0], spans[1:]


def enfold_writer(model: str, weights: str) -> Streamed:
    """enfold on weights in "bf16", "int8", "int4" or "nf4"."""
    import enfold
    from enfold.quant.config import BitsAndBytesConfig
    from enfold.quant.torchao import TorchAoConfig

    options: dict[str, Any] = {}
    if weights == "nf4":
        options["quantization_config"] = BitsAndBytesConfig(**NF4)
    elif weights in TORCHAO:
        tiny = "-tiny" if weights == "int4" and model.startswith("tiny") else ""
        options["quantization_config"] = TorchAoConfig(**TORCHAO[weights + tiny])
    return Streamed(enfold.AutoModelForCausalLM.from_pretrained(checkpoint(model), **options))


def their_writer(model: str, weights: str) -> Streamed | None:
    """transformers, with bitsandbytes for NF4."""
    import transformers

    options: dict[str, Any] = {}
    if weights == "nf4":
        options["quantization_config"] = transformers.BitsAndBytesConfig(**NF4)
    if weights in TORCHAO or (weights == "nf4" and model.startswith("tiny")):
        return None  # bitsandbytes takes no layers of 16
    opened = transformers.AutoModelForCausalLM.from_pretrained(checkpoint(model), **options)
    return Streamed(opened.eval())


def llama_cpp_writer(model: str, weights: str, context: int) -> LlamaCpp | None:
    """llama.cpp, where it is installed."""
    if find_spec("llama_cpp") is None or weights not in GGUF:
        return None
    return LlamaCpp(gguf(model, GGUF[weights]), context)


def gguf(model: str, kind: str) -> Path:
    """A GGUF file of a checkpoint, with a vocabulary of bytes, written once."""
    from tokenizers import Tokenizer as Engine
    from tokenizers import decoders, models, pre_tokenizers

    import enfold
    from enfold.model.gguf import save_gguf
    from enfold.text import Tokenizer

    folder = checkpoint(model)
    path = folder / f"{kind}.gguf"
    if not path.exists():
        signs = [*sorted(pre_tokenizers.ByteLevel.alphabet()), "ab"]
        engine = Engine(models.BPE(vocab={sign: i for i, sign in enumerate(signs)},
                                   merges=[("a", "b")]))
        engine.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
        engine.decoder = decoders.ByteLevel()
        opened = enfold.AutoModelForCausalLM.from_pretrained(folder)
        save_gguf(opened, path, Tokenizer(tokenizer_object=engine, eos_token=signs[0]), kind=kind)
    return path


# ---- encoders ------------------------------------------------------------------------------------
Read = Callable[[Any], Any]  # ids [B, T] -> hidden states [B, T, D]


def enfold_reader(name: str, dtype: str) -> Read:
    """enfold's encoder."""
    import enfold

    return _module(enfold.AutoModel.from_pretrained(checkpoint(name), dtype=dtype))


def their_reader(name: str, dtype: str) -> Read:
    """transformers' encoder."""
    import transformers

    return _module(transformers.AutoModel.from_pretrained(checkpoint(name), dtype=dtype))


def _module(model: Any) -> Read:
    import torch

    model.eval()

    def read(ids: Any) -> Any:
        with torch.inference_mode():
            return model(input_ids=ids, attention_mask=torch.ones_like(ids)).last_hidden_state

    return read


def openvino_reader(dtype: str) -> Read | None:
    """OpenVINO, converted from transformers' module."""
    if find_spec("openvino") is None:
        return None
    import openvino
    import torch
    import transformers

    model = transformers.AutoModel.from_pretrained(checkpoint("bert-base")).eval()
    ids = torch.ones(8, 128, dtype=torch.int64)
    made = openvino.convert_model(model, example_input={"input_ids": ids,
                                                        "attention_mask": ids})
    hint = {"float32": "f32", "bfloat16": "bf16"}[dtype]
    compiled = openvino.compile_model(made, "CPU", {
        "INFERENCE_PRECISION_HINT": hint, "INFERENCE_NUM_THREADS": THREADS, "NUM_STREAMS": 1})
    return lambda ids: compiled({"input_ids": ids.numpy(),
                                 "attention_mask": torch.ones_like(ids).numpy()})[0]


def ctranslate2_reader(dtype: str) -> Read | None:
    """CTranslate2, converted from the checkpoint with MiniLM's vocabulary."""
    if find_spec("ctranslate2") is None:
        return None
    import ctranslate2
    from ctranslate2.converters import TransformersConverter

    out = checkpoint("bert-base").parent / f"ct2-{dtype}"
    if not out.exists():
        with tempfile.TemporaryDirectory() as scratch:
            TransformersConverter(_for_ctranslate2(Path(scratch))).convert(str(out),
                                                                           quantization=dtype)
    encoder = ctranslate2.Encoder(str(out), device="cpu", intra_threads=THREADS,
                                  compute_type=dtype)
    return lambda ids: encoder.forward_batch(ids.tolist())


def _for_ctranslate2(folder: Path) -> str:
    """BERT-base, a vocabulary, and a key that the converter reads and transformers 5 dropped."""
    source = checkpoint("bert-base")
    for path in (source / "model.safetensors", *minilm().glob("*token*"), minilm() / "vocab.txt"):
        (folder / path.name).symlink_to(path)
    config = json.loads((source / "config.json").read_text())
    (folder / "config.json").write_text(json.dumps(
        config | {"position_embedding_type": "absolute"}))
    return str(folder)


def load(model: str) -> dict[str, float]:
    """From an import of torch to the first token, and the peak of memory over the file's size."""
    import torch  # noqa: F401 - not counted

    before, start = memory()["peak"], clock()
    enfold_writer(model, "bf16").write(list(range(10, 18)), 2)
    took = clock() - start
    size = sum(path.stat().st_size for path in checkpoint(model).glob("*.safetensors")) / 2**20
    return {"seconds": took, "share": (memory()["peak"] - before) / size}


if __name__ == "__main__":
    print(json.dumps(load(sys.argv[2])))
