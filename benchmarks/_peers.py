"""CTranslate2 and OpenVINO, from PYTHONPATH (ctranslate2, openvino, nncf).

Their files are made once.  A Llama for OpenVINO is exported by optimum-intel, which wants a
transformers below 5.6 and so an environment of its own: ENFOLD_BENCH_OPTIMUM names a PYTHONPATH
with `optimum-intel`, `nncf` and that transformers.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Callable
from itertools import pairwise
from pathlib import Path
from typing import Any

from _engines import THREADS, Read, Times
from _machine import clock
from _models import byte_vocabulary, checkpoint, made, minilm

EXPORT = """
import sys
from optimum.intel import OVModelForCausalLM, OVWeightQuantizationConfig
form = {"int8": dict(bits=8), "int4": dict(bits=4, group_size=128, sym=False, ratio=1.0)}
config = OVWeightQuantizationConfig(**form[sys.argv[3]])
model = OVModelForCausalLM.from_pretrained(sys.argv[1], export=True, quantization_config=config,
                                           compile=False)
model.save_pretrained(sys.argv[2])
"""


# ---- CTranslate2 ---------------------------------------------------------------------------------
class CTranslate2:
    """A decoder of CTranslate2, which calls back at each token."""

    def __init__(self, model: str, weights: str) -> None:
        import ctranslate2

        folder = made(f"ct2-{model}-{weights}", lambda to: _convert(model, weights, to))
        self.model = ctranslate2.Generator(str(folder), device="cpu", intra_threads=THREADS,
                                           compute_type=weights)
        self.words = json.loads((folder / "vocabulary.json").read_text())

    def write(self, prompt: list[int], count: int) -> Times:
        times = [clock()]
        self.model.generate_batch(
            [[self.words[i] for i in prompt]], max_length=count, min_length=count,
            include_prompt_in_result=False, callback=lambda step: times.append(clock()) or False)
        spans = [b - a for a, b in pairwise(times)]
        return spans[0], spans[1:]


def ctranslate2_reader(dtype: str) -> Read:
    """BERT-base in CTranslate2."""
    import ctranslate2

    folder = made(f"ct2-{dtype}", lambda to: _convert("bert-base", dtype, to))
    encoder = ctranslate2.Encoder(str(folder), device="cpu", intra_threads=THREADS,
                                  compute_type=dtype)
    return lambda ids: encoder.forward_batch(ids.tolist())


def _convert(model: str, form: str, to: Path) -> None:
    """With a vocabulary, and a key of BERT that the converter reads and transformers 5 dropped."""
    from ctranslate2.converters import TransformersConverter

    source = checkpoint(model)
    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch)
        (folder / "model.safetensors").symlink_to(source / "model.safetensors")
        config = json.loads((source / "config.json").read_text())
        (folder / "config.json").write_text(json.dumps(
            config | {"position_embedding_type": "absolute"}))
        if config["model_type"] == "bert":
            for path in (*minilm().glob("*token*"), minilm() / "vocab.txt"):
                (folder / path.name).symlink_to(path)
        else:
            engine = byte_vocabulary()
            engine.save(str(folder / "tokenizer.json"))
            names = dict(zip(("bos_token", "eos_token", "unk_token"),
                             map(engine.id_to_token, range(3)), strict=True))
            (folder / "tokenizer_config.json").write_text(json.dumps(
                names | {"tokenizer_class": "PreTrainedTokenizerFast"}))
        TransformersConverter(str(folder)).convert(str(to), quantization=form)


# ---- OpenVINO ------------------------------------------------------------------------------------
class OpenVino:
    """A decoder of OpenVINO that keeps its cache itself."""

    def __init__(self, model: str, weights: str) -> None:
        import openvino

        folder = made(f"openvino-{model}-{weights}", lambda to: _export(model, weights, to))
        compiled = openvino.Core().compile_model(folder / "openvino_model.xml", "CPU", {
            "INFERENCE_NUM_THREADS": THREADS, "NUM_STREAMS": 1, "PERFORMANCE_HINT": "LATENCY"})
        self.request = compiled.create_infer_request()

    def write(self, prompt: list[int], count: int) -> Times:
        import numpy

        self.request.reset_state()
        times, given, held = [clock()], prompt, 0
        for _ in range(count):
            held += len(given)
            found = self.request.infer({
                "input_ids": numpy.array([given]),
                "attention_mask": numpy.ones((1, held), numpy.int64),
                "position_ids": numpy.arange(held - len(given), held)[None],
                "beam_idx": numpy.zeros(1, numpy.int32)})
            given = [int(found["logits"][0, -1].argmax())]
            times.append(clock())
        spans = [b - a for a, b in pairwise(times)]
        return spans[0], spans[1:]


def _export(model: str, weights: str, to: Path) -> None:
    if not (path := os.environ.get("ENFOLD_BENCH_OPTIMUM")):
        raise RuntimeError("ENFOLD_BENCH_OPTIMUM is not set, and the model not exported yet")
    subprocess.run([sys.executable, "-c", EXPORT, checkpoint(model), to, weights], check=True,
                   env=os.environ | {"PYTHONPATH": path}, stdout=subprocess.DEVNULL)


def openvino_reader(dtype: str) -> Read:
    """BERT-base in OpenVINO, converted from transformers' module; int8 by nncf."""
    import openvino
    import torch

    path = made("openvino-bert-base", _export_bert) / "model.xml"
    if dtype == "int8":
        path = made("openvino-bert-base-int8", _quantize_bert) / "model.xml"
    hint = {"bfloat16": "bf16", "float32": "f32", "int8": "bf16"}[dtype]
    compiled = openvino.Core().compile_model(path, "CPU", {
        "INFERENCE_PRECISION_HINT": hint, "INFERENCE_NUM_THREADS": THREADS, "NUM_STREAMS": 1})
    return lambda ids: compiled({"input_ids": ids.numpy(),
                                 "attention_mask": torch.ones_like(ids).numpy()})[0]


def _export_bert(to: Path) -> None:
    import openvino
    import torch
    import transformers

    model = transformers.AutoModel.from_pretrained(checkpoint("bert-base")).eval()
    ids = torch.ones(8, 128, dtype=torch.int64)
    made = openvino.convert_model(model, example_input={"input_ids": ids, "attention_mask": ids})
    openvino.save_model(made, to / "model.xml", compress_to_fp16=False)


def _quantize_bert(to: Path) -> None:
    """Weights and inputs of products in int8, ranges from eight random texts."""
    import nncf
    import numpy
    import openvino

    draw = numpy.random.default_rng(0)
    texts = [{"input_ids": draw.integers(1000, 20000, (8, 128)),
              "attention_mask": numpy.ones((8, 128), numpy.int64)} for _ in range(2)]
    plain = openvino.Core().read_model(made("openvino-bert-base", _export_bert) / "model.xml")
    found = nncf.quantize(plain, nncf.Dataset(texts), model_type=nncf.ModelType.TRANSFORMER,
                          subset_size=2)
    openvino.save_model(found, to / "model.xml")


WRITERS: dict[str, Callable[[str, str], Any]] = {"ctranslate2": CTranslate2, "openvino": OpenVino}
READERS: dict[str, Callable[[str], Read]] = {"ctranslate2": ctranslate2_reader,
                                             "openvino": openvino_reader}
