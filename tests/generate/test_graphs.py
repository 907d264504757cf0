"""Generating by steps of fixed shapes, with what stands for a CUDA graph on a CPU: what is replayed
computes over the tensors of its capture alone, and those may not have moved."""

from __future__ import annotations

import warnings

import pytest
import torch

from enfold.generate import graphs, session
from enfold.nn.cache import STEP
from enfold.nn.step_fixed import FixedStepper, can_fix
from tests.families.pairs import fresh

PROMPT = torch.randint(5, 40, (3, 7), generator=torch.Generator().manual_seed(0))
CASES = [("llama", "ForCausalLM", "base"), ("mistral", "ForCausalLM", "base"),
         ("gpt2", "LMHeadModel", "base"), ("t5", "ForConditionalGeneration", "base"),
         ("marian", "MTModel", "base")]


class Theirs(torch.nn.Linear):
    """A module of somebody else, who may look at its inputs."""


class Recorded:
    """Captures in the place of `graphs.capture`."""

    def __init__(self, monkeypatch) -> None:
        self.captures = self.replays = 0
        monkeypatch.setattr(graphs, "capture", self.capture)
        monkeypatch.setattr(session, "captured", self.captured)

    def captured(self, step):
        assert can_fix(step)
        self.step = FixedStepper(step.body, step.head, step.cache, step.capacity)
        return graphs.Graph(self.step)

    def capture(self, work, device):
        self.captures += 1
        held, result = self.places(), torch.empty_like(work())

        def replay() -> None:
            assert self.places() == held
            self.replays += 1
            result.copy_(work())

        return replay, result

    def places(self):
        """Where everything is that a step reads, and how large."""
        step, cache = self.step, self.step.cache
        parts = [step.ids, step.place, step.positions, step.mask, step.now.columns,
                 step.now.memory, *(part for state in cache.states
                                    for part in (state.key, state.value)),
                 *(part for pair in cache.cross for part in pair or ())]
        return [None if part is None else (part.data_ptr(), part.shape) for part in parts]


def written(model, padded=False, **options):
    given = {"input_ids": PROMPT, "max_new_tokens": 12, "min_new_tokens": 12} | options
    if padded:
        given["attention_mask"] = torch.tensor([[1] * 7, [0] * 3 + [1] * 4, [0] + [1] * 6])
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return model.generate(**given)


MODES = [{}, {"padded": True}, {"do_sample": True, "seed": 3, "top_k": 20},
         {"do_sample": True, "seed": 3, "num_return_sequences": 2, "padded": True},
         {"num_beams": 3}, {"repetition_penalty": 1.3}]


@pytest.mark.parametrize("options", MODES, ids=str)
@pytest.mark.parametrize("case", CASES, ids="-".join)
def test_tokens_are_those_of_plain_steps(case, options, monkeypatch) -> None:
    model = fresh(*case).ours
    wanted = written(model, **options)
    seen = Recorded(monkeypatch)
    assert torch.equal(written(model, **options), wanted)
    assert (seen.captures, seen.replays) == (1, 10)


def test_more_room_is_another_capture(monkeypatch) -> None:
    model = fresh("llama", "ForCausalLM", "base", max_position_embeddings=256).ours
    monkeypatch.setattr("enfold.nn.step_fixed.STEP", 8)
    monkeypatch.setattr(session, "ROOM", 1)
    wanted = written(model, max_new_tokens=60, min_new_tokens=60)
    seen = Recorded(monkeypatch)
    assert torch.equal(written(model, max_new_tokens=60, min_new_tokens=60), wanted)
    assert seen.captures > 2 and seen.step.capacity % 8 == 0 < STEP


def test_results_are_not_overwritten(monkeypatch) -> None:
    """Logits and the cache that a caller gets are the caller's."""
    model = fresh("llama", "ForCausalLM", "base").ours
    options = {"return_dict_in_generate": True, "output_logits": True, "do_sample": False}
    wanted = written(model, **options)
    Recorded(monkeypatch)
    found = written(model, **options)
    torch.testing.assert_close(torch.stack(found.logits), torch.stack(wanted.logits))
    more = [model(found.sequences[:, -1:], past_key_values=result.past_key_values).logits
            for result in (found, wanted)]
    torch.testing.assert_close(more[0], more[1])


def test_a_chat_goes_on_with_its_cache(monkeypatch) -> None:
    model = fresh("llama", "ForCausalLM", "base").ours

    def talk():
        first = written(model, return_dict_in_generate=True)
        more = torch.cat((first.sequences, PROMPT[:, :4]), 1)
        return written(model, input_ids=more, past_key_values=first.past_key_values)

    wanted = talk()
    seen = Recorded(monkeypatch)
    found = talk()
    assert torch.equal(found, wanted)
    assert seen.captures == 2


@torch.no_grad()
def test_what_is_not_written_yet_counts_for_nothing() -> None:
    model = fresh("llama", "ForCausalLM", "base").ours
    cache = model.new_cache(3, STEP)
    model(PROMPT, past_key_values=cache)
    for state in cache.states:
        state.key[:, :, 7:], state.value[:, :, 7:] = torch.nan, torch.nan
    plain = model.stepper(cache, STEP)
    step = FixedStepper(plain.body, plain.head, cache, STEP)
    assert step(PROMPT[:, :1]).isfinite().all() and step.capacity == STEP


def test_on_a_cpu_steps_stay_as_they_are() -> None:
    model = fresh("llama", "ForCausalLM", "base").ours
    cache = model.new_cache()
    model(PROMPT, past_key_values=cache)
    step = model.stepper(cache)
    assert graphs.captured(step) is step and graphs.captured(None) is None


@pytest.mark.parametrize("spoil", [
    lambda model: model.model.layers[0].mlp.down_proj.register_forward_hook(lambda *a: None),
    lambda model: model.optimize(False),
    lambda model: setattr(model.model.layers[0].mlp, "down_proj", Theirs(40, 32)),
], ids=["hooks", "optimize", "modules"])
def test_what_is_not_captured(spoil) -> None:
    model = fresh("llama", "ForCausalLM", "base").ours
    cache = model.new_cache()
    model(PROMPT, past_key_values=cache)
    assert can_fix(model.stepper(cache))
    spoil(model)
    assert not can_fix(model.stepper(cache))
