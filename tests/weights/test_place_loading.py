"""Loading by device_map, max_memory and offload_folder, without a GPU: the CPU and the disk."""

from __future__ import annotations

import copy
import pickle
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import torch

import enfold
from enfold.errors import InputError
from enfold.weights.place import request
from enfold.weights.place.homes import Homes, Spread
from enfold.weights.place.request import Request
from tests.weights.place_elsewhere import (
    MODELS,
    assert_close,
    build,
    folder,
    inputs,
    load,
    spread_map,
)

LLAMA = ("llama", "ForCausalLM")
NAMES = {"model.embed_tokens": "cpu", "model.layers.0": "disk", "model.layers.1": "disk",
         "model.norm": "cpu", "lm_head": "disk"}


@pytest.mark.parametrize(("kind", "suffix"), MODELS)
def test_blocks_on_the_disk(kind: str, suffix: str) -> None:
    plain = load(kind, suffix)
    placed = load(kind, suffix, device_map=spread_map(plain, "disk", "cpu"))
    given = inputs(padded=True)
    if "Conditional" in suffix:
        given["labels"] = given["input_ids"]
    with torch.no_grad():
        for _ in range(2):
            assert_close(placed(**given).logits, plain(**given).logits)
    states = plain.state_dict(), placed.state_dict()
    assert list(states[0]) == list(states[1])
    assert all(torch.equal(states[0][name], states[1][name]) for name in states[0])
    frozen = {name for name, p in placed.named_parameters() if not p.requires_grad}
    assert frozen and len(frozen) < len(list(placed.parameters()))


def test_the_map_is_kept_and_printed() -> None:
    placed = load(*LLAMA, device_map=NAMES)
    assert placed.hf_device_map == NAMES
    lines = str(placed.placement).splitlines()
    assert lines[1].split("  ")[-1] == "model.layers.0 .. model.layers.1, runs on cpu"
    assert "PlacedTransformerBlock" in str(placed)
    plain = load(*LLAMA)
    assert plain.placement is None and not hasattr(plain, "hf_device_map")
    assert placed.get_memory_footprint() == plain.get_memory_footprint()
    assert load(*LLAMA, device_map="auto").hf_device_map == {"": "cpu"}
    assert load(*LLAMA, device_map={"": "cpu"}).hf_device_map == {"": "cpu"}
    assert load(*LLAMA, device_map="balanced", max_memory={"cpu": "1GiB"}).placement is None


def test_entries_of_modules_without_tensors_and_below_a_block() -> None:
    names = {"transformer.wte": "cpu", "transformer.wpe": "cpu", "transformer.drop": "cpu",
             "transformer.h.0": "disk", "transformer.h.1": "cpu", "transformer.ln_f": "cpu",
             "lm_head": "cpu"}
    placed = load("gpt2", "LMHeadModel", device_map=names)
    del names["transformer.drop"]
    assert placed.hf_device_map == names
    whole = {"model": "disk", "lm_head": "cpu", "model.layers.0.self_attn": "cpu",
             "model.layers.0": "cpu", "model.rotary_emb": "cpu"}
    assert load(*LLAMA, device_map=whole).hf_device_map == {
        "model.embed_tokens": "disk", "model.layers.0": "cpu", "model.layers.1": "disk",
        "model.norm": "disk", "lm_head": "cpu"}


def test_generation_and_saving_where_it_was_loaded_from(tmp_path: Path) -> None:
    plain = load(*LLAMA)
    plain.save_pretrained(tmp_path)
    before = (tmp_path / "model.safetensors").read_bytes()
    placed = type(plain).from_pretrained(tmp_path, device_map=NAMES)
    for options in ({"do_sample": False}, {"num_beams": 3}):
        wanted = plain.generate(**inputs(), max_new_tokens=6, **options)
        assert torch.equal(placed.generate(**inputs(), max_new_tokens=6, **options), wanted)
    placed.save_pretrained(tmp_path)
    assert (tmp_path / "model.safetensors").read_bytes() == before
    assert torch.equal(placed.generate(**inputs(), max_new_tokens=6, num_beams=3), wanted)


@pytest.mark.parametrize("change", ["cast", "pickle", "new head"])
def test_what_no_file_holds_is_written(change: str, tmp_path: Path) -> None:
    options: dict[str, Any] = {"dtype": torch.bfloat16} if change == "cast" else {}
    source, suffix = folder(*LLAMA), "ForCausalLM"
    if change == "pickle":
        source = tmp_path / "pickle"
        load(*LLAMA).save_pretrained(source, safe_serialization=False)
    if change == "new head":
        suffix = "ForSequenceClassification"
    family = build("llama", suffix)
    wish = {"": "disk"}
    with pytest.raises(InputError, match=r"is to stay on the disk, but no safetensors file holds "
                                         r"it as .*Do: give offload_folder='offload'"):
        family.from_pretrained(source, device_map=wish, **options)
    placed = family.from_pretrained(source, device_map=wish, offload_folder=tmp_path / "off",
                                    **options)
    assert placed.dtype == options.get("dtype", torch.float32)
    written = {path.name.removesuffix(".safetensors") for path in (tmp_path / "off").iterdir()}
    names = set(dict(placed.named_parameters()))
    assert written == ({"score.weight"} if change == "new head" else names)
    if suffix == "ForCausalLM":
        wanted = family.from_pretrained(source, **options).state_dict()
        placed(**inputs())
        assert all(torch.equal(t, wanted[name]) for name, t in placed.state_dict().items())


def test_planned_offload(tmp_path: Path) -> None:
    plain = load(*LLAMA)
    weights = plain.get_memory_footprint()
    planned = load(*LLAMA, device_map="auto", offload_folder=tmp_path,
                   max_memory={"cpu": weights + 90_000})
    assert planned.placement is None, "all fits"
    planned = load(*LLAMA, device_map="auto", offload_folder=tmp_path, max_memory={"cpu": 135_000})
    assert "disk" in planned.hf_device_map.values()
    assert planned.placement.plan.held()["cpu"] <= 135_000
    assert torch.equal(planned(**inputs()).logits, plain(**inputs()).logits)
    assert not list(tmp_path.iterdir()), "the checkpoint itself is mapped"


def test_quantized_layers(tmp_path: Path) -> None:
    plain = load(*LLAMA, load_in_4bit=True)
    placed = load(*LLAMA, load_in_4bit=True, device_map=NAMES, offload_folder=tmp_path)
    assert placed.is_quantized and placed.hf_device_map == NAMES
    with torch.no_grad():
        assert_close(placed(**inputs()).logits, plain(**inputs()).logits)
    planned = load(*LLAMA, load_in_4bit=True, device_map="auto", offload_folder=tmp_path,
                   max_memory={"cpu": 86_000})
    assert "disk" in planned.hf_device_map.values()
    with torch.no_grad():
        assert_close(planned(**inputs()).logits, plain(**inputs()).logits)


@pytest.mark.parametrize("allowed", [True, False])
def test_8_bits_off_the_devices_need_no_permission(tmp_path: Path, allowed: bool) -> None:
    config = enfold.BitsAndBytesConfig(load_in_8bit=True, llm_int8_enable_fp32_cpu_offload=allowed)
    plain = load(*LLAMA, quantization_config=config)
    placed = load(*LLAMA, quantization_config=config, device_map=NAMES, offload_folder=tmp_path)
    assert placed.hf_device_map == NAMES
    kinds = {path: type(module) for path, module in plain.named_modules()}
    for path in ("model.layers.0.self_attn.q_proj", "model.layers.1.mlp.up_proj"):
        assert kinds[path] is type(placed.get_submodule(path)) is not torch.nn.Linear
    with torch.no_grad():
        found, expected = placed(**inputs()).logits, plain(**inputs()).logits
    assert (found - expected).norm() < 0.01 * expected.norm()  # inputs are rounded to int8


def test_adapters_on_the_disk() -> None:
    from enfold import LoraConfig, get_peft_model

    losses: dict[str, list[float]] = {}
    for name, options in (("plain", {}), ("placed", {"device_map": NAMES})):
        torch.manual_seed(0)
        model = get_peft_model(load(*LLAMA, **options),
                               LoraConfig(r=2, target_modules=["q_proj", "v_proj"]))
        optimizer = torch.optim.SGD([p for p in model.parameters() if p.requires_grad], 0.1)
        given = inputs()
        for _ in range(3):
            loss = model(**given, labels=given["input_ids"]).loss
            loss.backward()
            optimizer.step()
            optimizer.zero_grad()
            losses.setdefault(name, []).append(loss.item())
    assert losses["placed"] == pytest.approx(losses["plain"], abs=1e-5)
    assert losses["plain"][2] < losses["plain"][0]


def test_a_weight_that_is_written_to_is_kept() -> None:
    placed = load(*LLAMA, device_map=NAMES)
    with torch.no_grad():
        placed.model.layers[0].self_attn.q_proj.weight.zero_()
        placed(**inputs())
    assert not placed.model.layers[0].self_attn.q_proj.weight.any()


def test_copies() -> None:
    placed = load(*LLAMA, device_map=NAMES)
    wanted = placed(**inputs()).logits
    for twin in (copy.deepcopy(placed), pickle.loads(pickle.dumps(placed))):
        assert torch.equal(twin(**inputs()).logits, wanted)
        assert torch.equal(twin(**inputs()).logits, wanted), "its memory was given back"
    assert torch.equal(placed(**inputs()).logits, wanted)


def test_one_device_for_each_rank(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("WORLD_SIZE", "4")
    monkeypatch.setenv("LOCAL_RANK", "3")
    assert load(*LLAMA, device_map="auto").hf_device_map == {"": "cpu"}
    assert load(*LLAMA, device_map="auto", max_memory={0: 1}).hf_device_map == {"": "cpu"}


# ---- plans for GPUs that are not here ------------------------------------------------------------
def homes(monkeypatch: pytest.MonkeyPatch, rooms: dict[Any, int], **asked: Any) -> Homes:
    monkeypatch.setattr(request, "gpu_memory", lambda: dict(rooms))
    family = build(*LLAMA)
    with torch.device("meta"):
        model = family(family.config_class.from_pretrained(folder(*LLAMA)))
    return Request(**asked).homes(model, torch.float32)


def test_plans_for_gpus(monkeypatch: pytest.MonkeyPatch) -> None:
    found = homes(monkeypatch, {0: 10**6, 1: 10**6}, device_map="auto")
    assert isinstance(found, Spread)
    assert list(found.plan.places.values()) == [0, 0, 1, 1, 1]
    assert found.device("body.layers.1.attn.q.weight") == torch.device("cuda", 1)
    assert found.device("body.norm") == torch.device("cuda", 1)
    found = homes(monkeypatch, {0: 10**6, 1: 10**6}, device_map="sequential")
    assert type(found) is Homes and found.only == torch.device("cuda", 0)
    found = homes(monkeypatch, {0: 10**6, 1: 10**6}, device_map="auto", max_memory={1: 10**6})
    assert type(found) is Homes and found.only == torch.device("cuda", 1)
    found = homes(monkeypatch, {0: 10**6}, device_map="auto",
                  max_memory={0: "130KB", "cpu": "1GB"})
    assert isinstance(found, Spread) and set(found.plan.places.values()) == {0, "cpu"}
    with pytest.raises(InputError, match=r"does not fit: its weights .*max_memory=\{\.\.\., 'cpu'"):
        homes(monkeypatch, {0: 10**5}, device_map="auto")


@pytest.mark.parametrize(("asked", "message"), [
    ({"device_map": {"model": "cpu"}},
     r"device_map says nothing about 'lm_head.weight'. Do: add an entry for it or a module above"),
    ({"device_map": {"": "disk", "model.layer.0": "cpu"}},
     r"an entry 'model.layer.0' that matches nothing of the model \(nearest: .model.layers.0"),
    ({"device_map": {"": "disk", "model.layers.0.mlp": "cpu"}},
     r"device_map tears apart what runs as one: 'model.layers.0.input_layernorm.weight' on 'disk"
     r"', 'model.layers.0.mlp.gate_proj.weight' on 'cpu'. Do: give all of it one place"),
    ({"device_map": {"model": 0, "lm_head": "cpu"}}, r"device_map is 0, but torch sees no GPU"),
    ({"device_map": {"": "gpu", "lm_head": "cpu"}}, r"device_map is 'gpu', expected 'auto'"),
    ({"device_map": "cpu", "max_memory": {"cpu": "1GB"}},
     r"max_memory is for planned maps, and device_map is 'cpu'. Do: device_map='auto'"),
    ({"device_map": "auto", "max_memory": {3: "1GB"}},
     r"max_memory names device 3, but torch sees 0 GPUs. Do: use 'cpu'"),
    ({"device_map": "auto", "max_memory": {"gpu": "1GB"}},
     r"max_memory names 'gpu', expected the number of a GPU, 'cpu' or 'disk'"),
    ({"device_map": "auto", "max_memory": {"cpu": "much"}},
     r"max_memory\['cpu'\] is 'much', expected bytes, or such as '10GiB' or '500MB'"),
    ({"device_map": "auto", "max_memory": {"cpu": 2000}},
     r"max_memory is too small for 'model.embed_tokens', which is never split: it takes 6.0 KiB"),
    ({"device_map": "auto", "max_memory": {"cpu": 40000}}, r"the model does not fit: its weights"),
])
def test_messages(asked: dict[str, Any], message: str) -> None:
    with pytest.raises(InputError, match=message):
        load(*LLAMA, **asked)


def test_a_placed_model_is_not_moved_or_cast() -> None:
    placed = load(*LLAMA, device_map=NAMES)
    for change in (lambda: placed.to(torch.bfloat16), placed.half, lambda: placed.to("meta")):
        with pytest.raises(InputError, match=r"LlamaForCausalLM is placed over cpu, disk, so it "
                                             r"can't be moved or cast as a whole. Do: load it"):
            change()
    placed.to("cpu")


def test_a_pipeline_leaves_it_where_it_is() -> None:
    from enfold.tasks.base import place

    placed = load(*LLAMA, device_map={"": "meta"})
    assert place(placed, None) == torch.device("meta")
    placed = load(*LLAMA, device_map=NAMES)
    assert place(placed, None) == torch.device("cpu")
    with pytest.raises(KeyError, match=r"spread by device_map over .'cpu', 'disk'.*leave device="):
        place(placed, "cpu")


# ---- memory --------------------------------------------------------------------------------------
BIG = {"hidden_size": 1024, "intermediate_size": 2816, "num_hidden_layers": 16,
       "num_attention_heads": 16, "num_key_value_heads": 4, "vocab_size": 4000,
       "max_position_embeddings": 256}
RUN = """
import sys, threading, time, torch, enfold.generate.api
from enfold import LlamaForCausalLM
def held(): return int(open("/proc/self/statm").read().split()[1]) * 4096
most, done = [held()], []
before = most[0]
def watch():
    while not done:
        most[0] = max(most[0], held()); time.sleep(0.002)
threading.Thread(target=watch).start()
model = LlamaForCausalLM.from_pretrained(sys.argv[1], device_map="auto",
                                         max_memory={"cpu": "120MB"}, offload_folder=sys.argv[2])
model.generate(torch.arange(4, 36)[None], max_new_tokens=3, do_sample=False)
done.append(1)
print(most[0] - before, most[0], model.get_memory_footprint())
"""


@pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")
def test_a_model_larger_than_its_limit_runs_within_it(tmp_path: Path) -> None:
    config = enfold.LlamaConfig(**BIG)
    with torch.device("meta"):
        model = enfold.LlamaForCausalLM(config)
    noise = torch.empty(4096 * 1024, dtype=torch.bfloat16).normal_(0, 0.02)
    weights = {name: noise[: p.numel()].view(p.shape) + 0 for name, p in model.named_parameters()}
    model.load_state_dict(weights, assign=True)
    model.save_pretrained(tmp_path / "model")
    del model, weights
    found = subprocess.run([sys.executable, "-c", RUN, str(tmp_path / "model"),
                            str(tmp_path / "off")], capture_output=True, text=True, timeout=300)
    assert found.returncode == 0, found.stderr
    growth, peak, weights_size = map(int, found.stdout.split())
    assert weights_size > 370e6
    assert growth < 120e6 + 30e6, f"{growth / 1e6:.0f} MB more than before"
    assert peak < weights_size + 30e6
