"""What models return: dictionaries with attributes, in a fixed order, without absent fields."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, ClassVar

PAST = ("past_key_values", "hidden_states", "attentions", "cross_attentions")
SEEN = ("hidden_states", "attentions")
SEQ2SEQ = ("past_key_values", "decoder_hidden_states", "decoder_attentions", "cross_attentions",
           "encoder_last_hidden_state", "encoder_hidden_states", "encoder_attentions")  # fmt: skip


class ModelOutput(dict[str, Any]):
    """Fields by name (`out.logits`, `out["logits"]`), by place (`out[0]`, `out[:2]`), and as a
    tuple.

    A field of the class that the model did not compute is None as an attribute and absent from the
    dictionary and the tuple.  Assigning an attribute sets the field.
    """

    FIELDS: ClassVar[tuple[str, ...]] = ()

    def __init__(self, *args: Any, **fields: Any) -> None:
        given = dict(*args, **fields)
        order = (*(name for name in self.FIELDS if name in given),
                 *(n for n in given if n not in self.FIELDS))
        super().__init__({name: given[name] for name in order if given[name] is not None})

    def __getattr__(self, name: str) -> Any:
        if name in self:
            return dict.__getitem__(self, name)
        if name in self.FIELDS:
            return None
        raise AttributeError(f"{type(self).__name__} has no field {name!r}; it has "
                             f"{', '.join(self)}")

    def __setattr__(self, name: str, value: Any) -> None:
        if value is None:
            self.pop(name, None)
        else:
            self[name] = value

    def __getitem__(self, key: Any) -> Any:
        return dict.__getitem__(self, key) if isinstance(key, str) else self.to_tuple()[key]

    def to_tuple(self) -> tuple[Any, ...]:
        """The fields in the order of the class."""
        return tuple(self.values())

    def __reduce__(self) -> tuple[Callable[..., Any], tuple[Any, ...]]:
        return type(self), (dict(self),)


def _output(name: str, *fields: str) -> type[ModelOutput]:
    return type(name, (ModelOutput,), {"FIELDS": fields, "__module__": __name__,
                                       "__doc__": f"Fields: {', '.join(fields)}."})


BaseModelOutput = _output("BaseModelOutputWithPastAndCrossAttentions", "last_hidden_state",
                          "pooler_output", *PAST)
Seq2SeqModelOutput = _output("Seq2SeqModelOutput", "last_hidden_state", *SEQ2SEQ)
CausalLMOutput = _output("CausalLMOutputWithCrossAttentions", "loss", "logits", *PAST)
MoEModelOutput = _output("MoeModelOutputWithPast", "last_hidden_state", "past_key_values",
                         "hidden_states", "attentions", "router_logits")  # fmt: skip
MoECausalLMOutput = _output("MoeCausalLMOutputWithPast", "loss", "aux_loss", "logits",
                            "past_key_values", "hidden_states", "attentions", "router_logits")
MaskedLMOutput = _output("MaskedLMOutput", "loss", "logits", *SEEN)
Seq2SeqLMOutput = _output("Seq2SeqLMOutput", "loss", "logits", *SEQ2SEQ)
SequenceClassifierOutput = _output("SequenceClassifierOutputWithPast", "loss", "logits", *PAST)
Seq2SeqSequenceClassifierOutput = _output("Seq2SeqSequenceClassifierOutput", "loss", "logits",
                                          *SEQ2SEQ)
TokenClassifierOutput = _output("TokenClassifierOutput", "loss", "logits", *SEEN)
QuestionAnsweringModelOutput = _output("QuestionAnsweringModelOutput", "loss", "start_logits",
                                       "end_logits", *SEEN)
Seq2SeqQuestionAnsweringModelOutput = _output("Seq2SeqQuestionAnsweringModelOutput", "loss",
                                              "start_logits",
                                              "end_logits", *SEQ2SEQ)  # fmt: skip
MultipleChoiceModelOutput = _output("MultipleChoiceModelOutput", "loss", "logits", *SEEN)
NextSentencePredictorOutput = _output("NextSentencePredictorOutput", "loss", "logits", *SEEN)
PreTrainingOutput = _output("PreTrainingOutput", "loss", "prediction_logits",
                            "seq_relationship_logits", *SEEN)
DoubleHeadsModelOutput = _output("DoubleHeadsModelOutput", "loss", "mc_loss", "logits", "mc_logits",
                                 *PAST)
