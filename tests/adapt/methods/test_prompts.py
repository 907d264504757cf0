"""Virtual tokens: generation, where they start, files that training goes on from, messages."""

from __future__ import annotations

import pytest
import torch

from enfold import adapt
from enfold.errors import CheckpointError, ConfigError, InputError
from tests.adapt.methods.table import CASES, inputs_of, pair
from tests.families.pairs import close

METHODS = ["prompt", "prefix", "p-mlp"]
MODELS = ["llama", "gpt2", "t5"]
GREEDY = {"max_new_tokens": 6, "do_sample": False, "eos_token_id": None, "pad_token_id": 0}


def prompt_of(made):
    """Ids, none of them padding."""
    return made.pair.inputs()["input_ids"].clamp(min=3)


@pytest.mark.parametrize("model", MODELS)
@pytest.mark.parametrize("name", METHODS)
def test_generate(name, model, tmp_path):
    """peft's tokens; beams and several samples run."""
    made = CASES[name].build(model, tmp_path)
    ids = prompt_of(made)
    wanted = made.theirs.generate(input_ids=ids, attention_mask=torch.ones_like(ids), **GREEDY)
    found = made.ours.generate(input_ids=ids, **GREEDY)
    assert found.tolist() == wanted.tolist()
    assert made.ours.generate(input_ids=ids, num_beams=2, num_return_sequences=2,
                              **GREEDY).shape[0] == 4
    with made.ours.disable_adapter():
        assert made.ours.generate(input_ids=ids, **GREEDY).tolist() == made.pair.ours.generate(
            input_ids=ids, **GREEDY).tolist()


@pytest.mark.parametrize("name", METHODS)
@pytest.mark.parametrize("model", ["llama", "gpt2"])
def test_padding_changes_nothing(name, model, tmp_path):
    made = CASES[name].build(model, tmp_path)
    ids = prompt_of(made)
    mask = torch.ones_like(ids)
    mask[0, :4] = 0
    ids[0, :4] = 0
    together = made.ours.generate(input_ids=ids, attention_mask=mask, **GREEDY)
    alone = made.ours.generate(input_ids=ids[:1, 4:], **GREEDY)
    assert together[0, -6:].tolist() == alone[0, -6:].tolist()


def test_text(tmp_path):
    """The first values are the words of the text, repeated or cut."""
    tokenizer(tmp_path)
    made = pair("llama")
    config = adapt.PromptTuningConfig(
        num_virtual_tokens=5, prompt_tuning_init="TEXT", prompt_tuning_init_text="a b c",
        tokenizer_name_or_path=str(tmp_path), task_type="CAUSAL_LM")
    ours = adapt.get_peft_model(made.ours, config)
    words = made.ours.get_input_embeddings().weight[[3, 4, 5, 3, 4]]
    close(ours.prompt_encoder["default"].embedding.weight, words, 0)
    drawn = adapt.get_peft_model(pair("llama").ours, adapt.PromptTuningConfig(
        num_virtual_tokens=5, prompt_tuning_init="SAMPLE_VOCAB", task_type="CAUSAL_LM"))
    table = made.ours.get_input_embeddings().weight
    assert all(bool((table == row).all(1).any())
               for row in drawn.prompt_encoder["default"].embedding.weight)


def tokenizer(folder):
    from tokenizers import Tokenizer, models, pre_tokenizers

    made = Tokenizer(models.WordLevel({"[UNK]": 0, "a": 3, "b": 4, "c": 5}, unk_token="[UNK]"))
    made.pre_tokenizer = pre_tokenizers.Whitespace()
    made.save(str(folder / "tokenizer.json"))
    (folder / "tokenizer_config.json").write_text('{"tokenizer_class": "PreTrainedTokenizerFast"}')


@pytest.mark.parametrize("name", ["prompt", "prefix-projected", "p-lstm"])
def test_training_goes_on(name, tmp_path):
    """A folder of ours holds what made the tokens too; peft's does not, and says so."""
    case = CASES[name]
    made = case.build("llama", tmp_path / "theirs")
    ours = adapt.get_peft_model(pair("llama").ours, case.config("llama", adapt))
    ours.save_pretrained(tmp_path / "ours")
    again = adapt.PeftModel.from_pretrained(pair("llama").ours, tmp_path / "ours",
                                            is_trainable=True)
    state = {key: p for key, p in ours.named_parameters() if p.requires_grad}
    for key, parameter in again.named_parameters():
        if parameter.requires_grad:
            assert torch.equal(parameter, state.pop(key))
    assert not state
    inputs = inputs_of(made)
    still = adapt.PeftModel.from_pretrained(pair("llama").ours, tmp_path / "ours")
    with torch.no_grad():
        close(still(**inputs).logits, ours.eval()(**inputs).logits)
    if name != "prompt":
        with pytest.raises(CheckpointError, match="expected the network too, to go on training"):
            adapt.PeftModel.from_pretrained(pair("llama").ours, tmp_path / "theirs",
                                            is_trainable=True)


def test_positions(tmp_path):
    """position_ids of the text count from the end of the virtual tokens."""
    for name in ("prompt", "prefix"):
        made = CASES[name].build("llama", tmp_path / name)
        inputs = inputs_of(made)
        places = torch.arange(inputs["input_ids"].shape[1])[None].expand_as(inputs["input_ids"])
        with torch.no_grad():
            close(made.ours(**inputs, position_ids=places).logits, made.ours(**inputs).logits)


def test_adapters_beside_each_other(tmp_path):
    made = CASES["prompt"].build("llama", tmp_path / "one")
    CASES["prefix"].build("llama", tmp_path / "two")
    ours, inputs = made.ours, inputs_of(made)
    with torch.no_grad():
        before = ours(**inputs).logits
        ours.load_adapter(tmp_path / "two", "other")
        close(ours(**inputs).logits, before, 0)
        ours.set_adapter("other")
        assert ours(**inputs).logits.shape != before.shape
        ours.set_adapter(["default", "other"])
        with pytest.raises(InputError, match="default, other put tokens before the inputs"):
            ours(**inputs)
        ours.set_adapter("default")
        ours.delete_adapter("other")
        close(ours(**inputs).logits, before, 0)


@pytest.mark.parametrize(("kind", "options", "message"), [
    ("PromptTuningConfig", {}, "num_virtual_tokens is None, expected a whole number"),
    ("PromptTuningConfig", {"num_virtual_tokens": 2, "prompt_tuning_init": "WORDS"},
     "prompt_tuning_init is 'WORDS', expected one of TEXT, SAMPLE_VOCAB, RANDOM"),
    ("PromptTuningConfig", {"num_virtual_tokens": 2, "prompt_tuning_init": "TEXT"},
     "prompt_tuning_init_text is None. Do: give it"),
    ("PromptTuningConfig", {"num_virtual_tokens": 2, "tokenizer_kwargs": {"a": 1}},
     "tokenizer_kwargs go with prompt_tuning_init='TEXT', got 'RANDOM'"),
    ("PrefixTuningConfig", {"num_virtual_tokens": 2, "init_weights": "one"},
     "init_weights is 'one', expected 'zero' or None"),
    ("PromptEncoderConfig", {"num_virtual_tokens": 2, "encoder_num_layers": 3},
     "encoder_num_layers=3 goes with the LSTM"),
])
def test_configuration(kind, options, message):
    with pytest.raises(ConfigError, match=message):
        getattr(adapt, kind)(**options)


def test_messages():
    base = pair("llama").ours
    with pytest.raises(InputError, match="acts on the inputs, not on layers. Do: use get_peft_mod"):
        base.add_adapter(adapt.PromptTuningConfig(num_virtual_tokens=2))
    with pytest.raises(InputError, match="got a Linear, expected a transformer of enfold"):
        adapt.get_peft_model(torch.nn.Linear(2, 2), adapt.PromptTuningConfig(num_virtual_tokens=2))
    with pytest.raises(InputError, match="token_dim is 7, expected 32, that of the model"):
        adapt.get_peft_model(base, adapt.PromptTuningConfig(num_virtual_tokens=2, token_dim=7))
    ours = adapt.get_peft_model(pair("llama").ours, adapt.PrefixTuningConfig(num_virtual_tokens=2))
    ids = torch.tensor([[5, 6], [7, ours.config.pad_token_id or 0]])
    with pytest.raises(InputError, match="the prefix takes their place"):
        ours(input_ids=ids, past_key_values=ours.get_base_model().new_cache())
    with pytest.raises(InputError, match=r"shape \(2, 1, 2, 2\): expected \[batch, length\]"):
        ours(input_ids=ids, attention_mask=torch.ones(2, 1, 2, 2))
    with pytest.raises(InputError, match="expected a tensor"):
        ours.generate(max_new_tokens=1)
    with pytest.raises(InputError, match="got no input"):
        ours()
    if ours.config.pad_token_id is not None:
        with pytest.raises(InputError, match="there is no attention_mask. Do: pass the tokenizer"):
            ours.generate(ids, max_new_tokens=1)
    ours.gradient_checkpointing_enable()
    with pytest.raises(InputError, match="prefix tuning with gradient checkpointing"):
        ours.train()(input_ids=ids)
