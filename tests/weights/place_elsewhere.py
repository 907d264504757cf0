"""What test_place_devices.py runs in a process of its own: models over devices that are not there.

`python -m tests.weights.place_elsewhere` prints a line for each case: its name, then "ok" or what
went wrong.
"""

from __future__ import annotations

import tempfile
import traceback
from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Any

import torch

import enfold
from enfold.models.registry import get_family
from enfold.weights.place import run as run_module
from tests.families.tiny import TINY
from tests.weights.elsewhere import MOVES, Elsewhere, Threads, register

CASES: dict[str, Callable[[], None]] = {}
FIRST, SECOND = "elsewhere:0", "elsewhere:1"


def case(function: Callable[[], None]) -> Callable[[], None]:
    CASES[function.__name__] = function
    return function


def build(kind: str, suffix: str) -> type[Any]:
    return getattr(enfold, get_family(kind).title + suffix)  # type: ignore[no-any-return]


@cache
def folder(kind: str, suffix: str) -> Path:
    """A tiny checkpoint, every parameter away from its initial value."""
    torch.manual_seed(0)
    family = build(kind, suffix)
    model = family(family.config_class(**TINY[kind].config()))
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.add_(torch.randn_like(parameter) * 0.05)
    path = Path(tempfile.mkdtemp())
    model.save_pretrained(path)
    return path


def load(kind: str, suffix: str, **options: Any) -> Any:
    return build(kind, suffix).from_pretrained(folder(kind, suffix), **options)


def inputs(padded: bool = False) -> dict[str, torch.Tensor]:
    ids = torch.randint(4, 48, (2, 9), generator=torch.Generator().manual_seed(1))
    ids[:, -1] = 2
    mask = torch.ones_like(ids)
    if padded:
        mask[1, 4:], ids[1, 4:], ids[1, 3] = 0, 1, 2
    return {"input_ids": ids, "attention_mask": mask}


def spread_map(model: Any, *places: str) -> dict[str, str]:
    """Its layers over places, in turn; what is before and after with the first and the last."""
    layers = sorted({".".join(name.split(".")[: index + 1]) for name, _ in model.named_parameters()
                     for index, part in enumerate(name.split(".")[:-1]) if part.isdigit()
                     and not any(p.isdigit() for p in name.split(".")[:index])})
    return {"": places[-1], **{layer: places[index * len(places) // len(layers)]
                               for index, layer in enumerate(layers)}}


MODELS = [("llama", "ForCausalLM"), ("llama", "ForSequenceClassification"), ("gpt2", "LMHeadModel"),
          ("bert", "ForSequenceClassification"), ("bert", "ForMaskedLM"),
          ("t5", "ForConditionalGeneration"), ("bart", "ForConditionalGeneration"),
          ("bart", "ForSequenceClassification")]


def assert_close(found: torch.Tensor, wanted: torch.Tensor) -> None:
    torch.testing.assert_close(found.cpu(), wanted.cpu(), atol=1e-5, rtol=1e-4)


@case
def outputs_over_two_devices() -> None:
    for kind, suffix in MODELS:
        plain = load(kind, suffix)
        placed = load(kind, suffix, device_map=spread_map(plain, FIRST, SECOND))
        assert {str(p.device) for p in placed.parameters()} == {FIRST, SECOND}, kind
        for padded in (False, True):
            given = inputs(padded)
            given["labels"] = (torch.tensor([0, 1]) if "Classification" in suffix
                               else given["input_ids"])
            wanted, found = plain(**given), placed(**given)
            assert found.logits.device.type == found.loss.device.type == "cpu", kind
            assert_close(found.logits, wanted.logits)
            assert_close(found.loss, wanted.loss)


@case
def gradients() -> None:
    """torch's engine knows of one such device only."""
    for kind, suffix in MODELS:
        plain = load(kind, suffix)
        placed = load(kind, suffix, device_map=spread_map(plain, "cpu", FIRST))
        for model in (plain, placed):
            given = inputs(padded=True)
            labels = torch.tensor([0, 1]) if "Classification" in suffix else given["input_ids"]
            model(**given, labels=labels).loss.backward()
        wanted = {name: p.grad for name, p in plain.named_parameters()}
        trained = {name: p for name, p in placed.named_parameters() if p.requires_grad}
        assert trained, kind
        for name, parameter in trained.items():
            assert str(parameter.grad.device) == FIRST
            assert_close(parameter.grad, wanted[name])


@case
def no_gradients_and_no_padding() -> None:
    for kind, suffix in (("bert", "ForSequenceClassification"), ("bert", "ForMaskedLM")):
        plain = load(kind, suffix)
        placed = load(kind, suffix, device_map=spread_map(plain, FIRST, SECOND))
        with torch.no_grad():
            found, wanted = placed(**inputs(padded=True)), plain(**inputs(padded=True))
        assert_close(found.logits, wanted.logits)


@case
def inputs_are_moved_where_the_device_changes() -> None:
    counts = []
    for layers in (2, 6):
        family = build("llama", "ForCausalLM")
        torch.manual_seed(0)
        config = TINY["llama"].config() | {"num_hidden_layers": layers}
        model = family(family.config_class(**config))
        with tempfile.TemporaryDirectory() as path:
            model.save_pretrained(path)
            placed = family.from_pretrained(path, device_map=spread_map(model, FIRST, SECOND))
            given = {name: tensor.to(FIRST) for name, tensor in inputs(padded=True).items()}
            MOVES.clear()
            placed(**given)
            counts.append(len(MOVES))
    assert counts[0] == counts[1] <= 8, counts


@case
def losses_alone() -> None:
    from enfold.nn.tokens import only_loss

    for kind, suffix in MODELS:
        plain = load(kind, suffix)
        placed = load(kind, suffix, device_map=spread_map(plain, FIRST, SECOND))
        given = inputs(padded=True)
        given["labels"] = (torch.tensor([0, 1]) if "Classification" in suffix
                           else given["input_ids"].masked_fill(given["attention_mask"] == 0, -100))
        with only_loss():
            assert_close(placed(**given).loss, plain(**given).loss)


@case
def generation_over_two_devices() -> None:
    for kind, suffix in (("llama", "ForCausalLM"), ("gpt2", "LMHeadModel"),
                         ("t5", "ForConditionalGeneration"), ("bart", "ForConditionalGeneration")):
        plain = load(kind, suffix)
        placed = load(kind, suffix, device_map=spread_map(plain, FIRST, SECOND))
        for options in ({}, {"num_beams": 3}):
            settings: dict[str, Any] = {"max_new_tokens": 7, "do_sample": False, **options}
            wanted = plain.generate(**inputs(), **settings)
            found = placed.generate(**inputs(), **settings)
            assert torch.equal(found.cpu(), wanted), (kind, options)
        cache = placed(**inputs(), **({"labels": inputs()["input_ids"]} if "Conditional" in suffix
                                      else {})).past_key_values
        homes = {str(state.key.device) for state in cache.states}
        assert homes == {FIRST} if "Conditional" in suffix else homes == {FIRST, SECOND}
        assert placed.placement.crew._context == (None, {}), "a pass's cache is kept"


@case
def outputs_follow_the_inputs() -> None:
    plain = load("llama", "ForCausalLM")
    placed = load("llama", "ForCausalLM", device_map=spread_map(plain, FIRST, SECOND))
    for device in ("cpu", FIRST, SECOND):
        ids = inputs()["input_ids"].to(device)
        found = placed(ids, output_hidden_states=True, output_attentions=True)
        homes = {str(t.device) for t in (found.logits, *found.hidden_states, *found.attentions)}
        assert homes == {device}
        found = placed(inputs_embeds=placed.get_input_embeddings()(ids.to(SECOND)).to(device))
        assert str(found.logits.device) == device


@case
def offload_to_the_cpu() -> None:
    for kind, suffix in MODELS:
        plain = load(kind, suffix)
        placed = load(kind, suffix, device_map=spread_map(plain, FIRST, "cpu"))
        homes = {str(p.device): p.requires_grad for p in placed.parameters()}
        assert homes == {FIRST: True, "cpu": False}, homes
        for padded in (False, True):
            given = inputs(padded)
            if "Conditional" in suffix:
                given["labels"] = given["input_ids"]
            with torch.no_grad():
                assert_close(placed(**given).logits, plain(**given).logits)
        assert {str(p.device) for p in placed.parameters()} == {FIRST, "cpu"}, "not put back"


@case
def offload_to_the_disk() -> None:
    plain = load("llama", "ForCausalLM")
    placed = load("llama", "ForCausalLM", device_map={"": FIRST, "model.layers.1": "disk",
                                                      "model.embed_tokens": "disk"})
    assert torch.equal(placed.generate(**inputs(), max_new_tokens=6, do_sample=False).cpu(),
                       plain.generate(**inputs(), max_new_tokens=6, do_sample=False))
    with tempfile.TemporaryDirectory() as target:
        placed.save_pretrained(target)
        wanted = (folder("llama", "ForCausalLM") / "model.safetensors").read_bytes()
        assert (Path(target) / "model.safetensors").read_bytes() == wanted


@case
def quantized_layers() -> None:
    for bits in ({"load_in_4bit": True}, {"load_in_8bit": True}):
        plain = load("llama", "ForCausalLM", **bits)
        for places in ((FIRST, SECOND), (FIRST, "cpu")):
            placed = load("llama", "ForCausalLM", **bits, device_map=spread_map(plain, *places))
            assert placed.is_quantized
            with torch.no_grad():
                found, expected = placed(**inputs()).logits.cpu(), plain(**inputs()).logits
            assert (found - expected).norm() < 0.01 * expected.norm()


@case
def adapters_train_on_an_offloaded_model() -> None:
    from enfold import LoraConfig, get_peft_model

    gradients = []
    for options in ({}, {"device_map": {"": FIRST, "model.layers.0": "cpu",
                                        "model.layers.1": FIRST}}):
        torch.manual_seed(0)
        model = get_peft_model(load("llama", "ForCausalLM", **options),
                               LoraConfig(r=2, target_modules=["q_proj", "v_proj"],
                                          init_lora_weights=False))
        model.load_state_dict({name: torch.full_like(t, 0.1) for name, t in
                               model.state_dict().items() if "lora_" in name}, strict=False)
        given = inputs()
        model(**given, labels=given["input_ids"]).loss.backward()
        gradients.append({name: p.grad.cpu() for name, p in model.named_parameters()
                          if p.grad is not None and "lora_" in name})
    assert gradients[0] and gradients[0].keys() == gradients[1].keys()
    for name, gradient in gradients[0].items():
        assert_close(gradients[1][name], gradient)


@case
def checkpointing_recomputes_offloaded_blocks() -> None:
    gradients = []
    for options in ({}, {"device_map": {"": FIRST, "model.layers.1": "cpu"}}):
        model = load("llama", "ForCausalLM", **options).train()
        model.gradient_checkpointing_enable()
        given = inputs()
        model(**given, labels=given["input_ids"]).loss.backward()
        gradients.append(model.model.embed_tokens.weight.grad.cpu())
    assert_close(*gradients)


def main() -> None:
    register()
    run_module.ThreadPoolExecutor = Threads  # type: ignore[misc]
    with Elsewhere():
        for name, run in CASES.items():
            try:
                run()
                print(name, "ok", flush=True)
            except Exception:
                print(name, repr(traceback.format_exc()), flush=True)


if __name__ == "__main__":
    main()
