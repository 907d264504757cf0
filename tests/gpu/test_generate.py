"""Models and generate() on a GPU give what they give on a CPU, by graphs as by single kernels."""

from __future__ import annotations

import copy
import warnings

import pytest
import torch

from enfold import AutoModelForCausalLM
from enfold.generate import graphs, session
from tests.families.pairs import LANGUAGE, fresh, ids
from tests.families.test_step import ENCODERS
from tests.quant.checkpoints import save_llama
from tests.quant.test_adapters_on_formats import ON_LOAD

PROMPT = torch.randint(5, 40, (3, 7), generator=torch.Generator().manual_seed(0))
MASK = torch.tensor([[1] * 7, [0] * 3 + [1] * 4, [0] + [1] * 6])
WRITERS = [case for case in LANGUAGE if case[0] not in ENCODERS]
MODES = [{}, {"attention_mask": MASK}, {"num_beams": 3}, {"repetition_penalty": 1.3},
         {"do_sample": True, "top_k": 1, "num_return_sequences": 2}]
SHAPED = ("dynamic", "longrope")  # positions that depend on the text's length


@pytest.fixture
def replays(monkeypatch):
    """The captures and replays of graphs."""
    seen, real = {"captured": 0, "replayed": 0}, graphs.capture

    def capture(work, device):
        seen["captured"] += 1
        replay, result = real(work, device)

        def again() -> None:
            seen["replayed"] += 1
            replay()

        return again, result

    monkeypatch.setattr(graphs, "capture", capture)
    return seen


def written(model, **options):
    given = {"input_ids": PROMPT, "max_new_tokens": 24, "min_new_tokens": 24} | options
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return model.generate(**given)


def eagerly(model, **options):
    """The same without graphs."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(session, "captured", lambda step: step)
        return written(model, **options)


@pytest.mark.parametrize("case", WRITERS, ids=ids)
@torch.no_grad()
def test_models_move_and_give_the_same(case, device) -> None:
    model = fresh(*case).ours
    inputs = {"input_ids": PROMPT}
    if model.config.is_encoder_decoder:
        inputs["decoder_input_ids"] = PROMPT[:, :4]
    wanted = model(**inputs).logits
    assert model.to(device).device.type == device.type
    found = model(**{name: value.to(device) for name, value in inputs.items()}).logits
    assert found.device.type == device.type
    torch.testing.assert_close(found.cpu(), wanted, rtol=1e-4, atol=1e-4)
    torch.testing.assert_close(model.to("cpu")(**inputs).logits, wanted)


@pytest.mark.parametrize("options", MODES, ids=lambda options: "-".join(options) or "greedy")
@pytest.mark.parametrize("case", WRITERS, ids=ids)
def test_graphs_write_what_kernels_write(case, options, device, replays) -> None:
    model = fresh(*case).ours
    wanted = written(model, **options)
    model.to(device)
    plain, found = eagerly(model, **options), written(model, **options)
    assert torch.equal(found, plain)
    assert torch.equal(found.cpu(), wanted)
    waits = "moe" in case[0] or case[0] == "mixtral" or case[2] in SHAPED
    if device.type == "cuda" and not waits:
        assert replays == {"captured": 1, "replayed": 22}


def test_samples_are_those_of_the_seed(device) -> None:
    model = fresh("llama", "ForCausalLM", "base").ours.to(device)
    options = {"do_sample": True, "seed": 5, "top_p": 0.9, "num_return_sequences": 4}
    assert torch.equal(written(model, **options), eagerly(model, **options))
    assert not torch.equal(written(model, **options), written(model, **options | {"seed": 6}))


def test_rows_end_by_themselves(device) -> None:
    """Finished rows are looked for every few steps; what was written too much is taken back."""
    model = fresh("llama", "ForCausalLM", "base").ours
    options = {"min_new_tokens": 0, "max_new_tokens": 50, "pad_token_id": 0}
    end = int(written(model)[0, 12])
    wanted = written(model, eos_token_id=end, **options)
    assert torch.equal(written(model.to(device), eos_token_id=end, **options).cpu(), wanted)


def test_many_tokens_take_more_room(device, replays) -> None:
    model = fresh("llama", "ForCausalLM", "base", max_position_embeddings=2048).ours.to(device)
    options = {"max_new_tokens": 600, "min_new_tokens": 600}
    assert torch.equal(written(model, **options), eagerly(model, **options))
    assert device.type == "cpu" or replays["captured"] == 2


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
def test_sixteen_bits(dtype, device) -> None:
    model = fresh("llama", "ForCausalLM", "base").ours.to(device, dtype)
    options = {"return_dict_in_generate": True, "output_logits": True}
    found, wanted = written(model, **options), eagerly(model, **options)
    for ours, plain in zip(found.logits[:4], wanted.logits[:4], strict=True):
        torch.testing.assert_close(ours, plain, rtol=5e-2, atol=5e-2)


@pytest.mark.parametrize("name", ["nf4", "nf4-nested", "fp4", "llm_int8", "int4_weight_only",
                                  "int8_weight_only", "int8_dynamic_activation_int8_weight"])
def test_quantized_models_write_the_same(name, device, tmp_path, replays) -> None:
    options = {"quantization_config": ON_LOAD[name], "dtype": torch.float32}
    model = AutoModelForCausalLM.from_pretrained(save_llama(tmp_path), **options)
    wanted = written(copy.deepcopy(model).to(device))
    model = AutoModelForCausalLM.from_pretrained(tmp_path, device_map=device, **options)
    assert model.device.type == device.type
    assert torch.equal(eagerly(model), wanted)
    assert torch.equal(written(model), wanted)
    if device.type == "cuda":
        assert bool(replays["captured"]) == (name != "llm_int8")
