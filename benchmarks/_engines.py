"""enfold, transformers and llama.cpp behind one face; CTranslate2 and OpenVINO are in _peers.py.

    Streamed(model).write(prompt, count) -> (seconds of reading the prompt, seconds of each token)
    enfold_reader(name, dtype)(ids)      -> hidden states of an encoder, as a function

An engine that cannot run raises, and the benchmark says why.
"""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Callable
from itertools import pairwise
from pathlib import Path
from typing import Any

from _machine import clock, memory
from _models import byte_vocabulary, checkpoint, made

THREADS = int(os.environ.get("OMP_NUM_THREADS", "1"))
Times = tuple[float, list[float]]
# formats of the weights: what bitsandbytes, torchao and llama.cpp call them
NF4 = {"load_in_4bit": True, "bnb_4bit_quant_type": "nf4", "bnb_4bit_compute_dtype": "bfloat16"}
BITSANDBYTES: dict[str, dict[str, Any]] = {"nf4": NF4, "int8": {"load_in_8bit": True}}
TORCHAO: dict[str, dict[str, Any]] = {
    "int8": {"quant_type": "int8_dynamic_activation_int8_weight"},
    "int8-head": {"quant_type": "int8_dynamic_activation_int8_weight",
                  "modules_to_not_convert": []},
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
    """enfold on weights in "bf16", "int8" ("int8-head": the output head too), "int4", "nf4", or in
    one of llama.cpp's ("q4_0").
    """
    import enfold
    from enfold.quant.gguf import GGUFQuantizationConfig

    if weights in ("q4_0", "q8_0"):
        return Streamed(enfold.AutoModelForCausalLM.from_pretrained(
            str(gguf(model, weights)), quantization_config=GGUFQuantizationConfig(),
            dtype="bfloat16"))
    config = enfold_config(model, weights)
    options = {} if config is None else {"quantization_config": config}
    return Streamed(enfold.AutoModelForCausalLM.from_pretrained(checkpoint(model), **options))


def enfold_config(model: str, weights: str) -> Any:
    """What quantizes a model on loading, None for nothing."""
    from enfold.quant.config import BitsAndBytesConfig
    from enfold.quant.torchao import TorchAoConfig

    if weights == "nf4":
        return BitsAndBytesConfig(**NF4)
    tiny = "-tiny" if weights == "int4" and model.startswith("tiny") else ""
    return TorchAoConfig(**TORCHAO[weights + tiny]) if weights in TORCHAO else None


def their_writer(model: str, weights: str) -> Streamed:
    """transformers, with bitsandbytes for NF4 and int8 (quantized once, then kept)."""
    import transformers

    folder = checkpoint(model)
    if weights in BITSANDBYTES:
        folder = made(f"bitsandbytes-{model}-{weights}",
                      lambda to: _bitsandbytes(model, weights, to))
    return Streamed(transformers.AutoModelForCausalLM.from_pretrained(folder).eval())


def _bitsandbytes(model: str, weights: str, to: Path) -> None:
    import transformers

    config = transformers.BitsAndBytesConfig(**BITSANDBYTES[weights])
    transformers.AutoModelForCausalLM.from_pretrained(
        checkpoint(model), quantization_config=config).save_pretrained(to)


def llama_cpp_writer(model: str, weights: str, context: int) -> LlamaCpp:
    """llama.cpp on a GGUF file that enfold writes."""
    return LlamaCpp(gguf(model, GGUF[weights]), context)


def gguf(model: str, kind: str) -> Path:
    """A GGUF file of a checkpoint, with a vocabulary of bytes, written once."""
    import enfold
    from enfold.model.gguf import save_gguf
    from enfold.text import Tokenizer

    folder = checkpoint(model)
    path = folder / f"{kind}.gguf"
    if not path.exists():
        opened = enfold.AutoModelForCausalLM.from_pretrained(folder)
        engine = byte_vocabulary()
        save_gguf(opened, path, Tokenizer(tokenizer_object=engine, eos_token=engine.id_to_token(0)),
                  kind=kind)
    return path


# ---- encoders ------------------------------------------------------------------------------------
Read = Callable[[Any], Any]  # ids [B, T] -> hidden states [B, T, D]


def enfold_reader(name: str, dtype: str) -> Read:
    """enfold's encoder; "int8" has inputs in int8 too, and all else in bf16."""
    import enfold

    config = enfold_config(name, dtype)
    options = {"dtype": dtype} if config is None else {"dtype": "bfloat16",
                                                       "quantization_config": config}
    return _module(enfold.AutoModel.from_pretrained(checkpoint(name), **options))


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
