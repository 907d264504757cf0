"""Snippets that write text: see snippets.py."""

from __future__ import annotations

from typing import NamedTuple


class Snippet(NamedTuple):
    """A program; `only4`: transformers 5 no longer runs it."""

    code: str
    only4: bool = False


TEXT_GENERATION = Snippet("""
from transformers import pipeline

generator = pipeline("text-generation", model="openai-community/gpt2")
result = [generator("Hello, I'm a language model,", max_new_tokens=12, do_sample=False),
          generator(["The quick", "My name is"], max_new_tokens=8, num_beams=3,
                    num_return_sequences=2, do_sample=False, return_full_text=False)]
""")

GPT2_BY_HAND = Snippet("""
from transformers import GPT2Tokenizer, GPT2LMHeadModel

tokenizer = GPT2Tokenizer.from_pretrained("openai-community/gpt2")
model = GPT2LMHeadModel.from_pretrained("openai-community/gpt2")
encoded_input = tokenizer("Replace me by any text you'd like.", return_tensors="pt")
output = model(**encoded_input, labels=encoded_input["input_ids"])
result = [output.loss, output.logits[0, -1, :20]]
""")

CODE_GENERATION = Snippet("""
from transformers import AutoModelForCausalLM, AutoTokenizer

checkpoint = "bigcode/starcoder"
device = "cpu"

tokenizer = AutoTokenizer.from_pretrained(checkpoint)
model = AutoModelForCausalLM.from_pretrained(checkpoint).to(device)

inputs = tokenizer.encode("def print_hello_world():", return_tensors="pt").to(device)
outputs = model.generate(inputs, max_new_tokens=20)
result = tokenizer.decode(outputs[0])
""")

MARIAN = Snippet("""
from transformers import MarianMTModel, MarianTokenizer

src_text = ["My name is Wolfgang and I live in Berlin", "Where is the river?"]

model_name = "Helsinki-NLP/opus-mt-en-fr"
tokenizer = MarianTokenizer.from_pretrained(model_name)
model = MarianMTModel.from_pretrained(model_name)
translated = model.generate(**tokenizer(src_text, return_tensors="pt", padding=True),
                            max_new_tokens=16)
result = [tokenizer.decode(t, skip_special_tokens=True) for t in translated]
""")

MARIAN_PIPELINE = Snippet("""
from transformers import pipeline

translator = pipeline("translation", model="Helsinki-NLP/opus-mt-en-fr")
en_fr_translator = pipeline("translation_en_to_fr", model="Helsinki-NLP/opus-mt-en-fr")
result = [translator("How old are you?", max_new_tokens=20),
          en_fr_translator(["How old are you?", "I live in Berlin."], max_new_tokens=12)]
""", only4=True)

T5_TRANSLATION = Snippet("""
from transformers import pipeline

en_fr_translator = pipeline("translation_en_to_fr", model="google-t5/t5-small")
result = en_fr_translator("How old are you?")
""", only4=True)

T5_BY_HAND = Snippet("""
from transformers import AutoTokenizer, AutoModelForSeq2SeqLM

tokenizer = AutoTokenizer.from_pretrained("google-t5/t5-small")
model = AutoModelForSeq2SeqLM.from_pretrained("google-t5/t5-small")
text = "translate English to French: The quick brown fox jumps over the lazy dog."
inputs = tokenizer(text, return_tensors="pt").input_ids
outputs = model.generate(inputs, max_new_tokens=20, do_sample=False)
result = tokenizer.decode(outputs[0], skip_special_tokens=True)
""")

T5_LOSS = Snippet("""
from transformers import T5Tokenizer, T5ForConditionalGeneration

tokenizer = T5Tokenizer.from_pretrained("google-t5/t5-small")
model = T5ForConditionalGeneration.from_pretrained("google-t5/t5-small")

input_ids = tokenizer("The <extra_id_0> walks in <extra_id_1> park", return_tensors="pt").input_ids
labels = tokenizer("<extra_id_0> cute dog <extra_id_1> the <extra_id_2>",
                   return_tensors="pt").input_ids
labels[labels == tokenizer.pad_token_id] = -100
loss = model(input_ids=input_ids, labels=labels).loss
result = [input_ids, labels, loss.item()]
""")

SUMMARIZATION = Snippet("""
from transformers import pipeline

summarizer = pipeline("summarization", model="facebook/bart-large-cnn")
ARTICLE = "The quick brown fox jumps over the lazy dog near the river bank of London. " * 6
result = summarizer(ARTICLE, max_new_tokens=40, min_new_tokens=10, do_sample=False)
""", only4=True)

TEXT_TO_TEXT = Snippet("""
from transformers import pipeline

generator = pipeline("text2text-generation", model="google-t5/t5-small")
result = generator("translate English to French: How old are you?", max_new_tokens=10)
""", only4=True)

CAUSAL_AUTO = Snippet("""
from transformers import AutoModelForCausalLM, AutoTokenizer

model_name = "meta-llama/Llama-3.2-1B-Instruct"
tokenizer = AutoTokenizer.from_pretrained(model_name, padding_side="left")
model = AutoModelForCausalLM.from_pretrained(model_name, device_map="auto", torch_dtype="auto")
model_inputs = tokenizer(["A list of colors: red, blue", "The quick"], return_tensors="pt",
                         padding=True).to(model.device)
generated_ids = model.generate(**model_inputs, max_new_tokens=12, do_sample=False)
result = [tokenizer.batch_decode(generated_ids, skip_special_tokens=True), str(model.dtype)]
""")

CHAT = Snippet("""
from transformers import AutoModelForCausalLM, AutoTokenizer

model_name = "meta-llama/Llama-3.2-1B-Instruct"
model = AutoModelForCausalLM.from_pretrained(model_name, torch_dtype="auto", device_map="auto")
tokenizer = AutoTokenizer.from_pretrained(model_name)
messages = [
    {"role": "system", "content": "You are a pirate chatbot who always responds in pirate speak!"},
    {"role": "user", "content": "Who are you?"},
]
text = tokenizer.apply_chat_template(messages, tokenize=False, add_generation_prompt=True)
model_inputs = tokenizer([text], return_tensors="pt").to(model.device)
generated_ids = model.generate(**model_inputs, max_new_tokens=16, do_sample=False)
generated_ids = [output_ids[len(input_ids):]
                 for input_ids, output_ids in zip(model_inputs.input_ids, generated_ids)]
response = tokenizer.batch_decode(generated_ids, skip_special_tokens=True)[0]
inputs = tokenizer.apply_chat_template(messages, add_generation_prompt=True, return_tensors="pt",
                                       return_dict=True)
outputs = model.generate(**inputs, max_new_tokens=16, do_sample=False)
result = [text, response, tokenizer.decode(outputs[0][inputs["input_ids"].shape[-1]:])]
""")

CHAT_PIPELINE = Snippet("""
import torch
from transformers import pipeline

pipe = pipeline("text-generation", model="meta-llama/Llama-3.2-1B-Instruct",
                torch_dtype=torch.float32, device_map="auto")
messages = [{"role": "user", "content": "Who are you?"}]
outputs = pipe(messages, max_new_tokens=16, do_sample=False)
result = outputs[0]["generated_text"][-1]
""")

STREAM = Snippet("""
from transformers import AutoModelForCausalLM, AutoTokenizer, TextIteratorStreamer
from threading import Thread

tok = AutoTokenizer.from_pretrained("openai-community/gpt2")
model = AutoModelForCausalLM.from_pretrained("openai-community/gpt2")
inputs = tok(["An increasing sequence: one,"], return_tensors="pt")
streamer = TextIteratorStreamer(tok, skip_prompt=True)
generation_kwargs = dict(inputs, streamer=streamer, max_new_tokens=20, do_sample=False)
thread = Thread(target=model.generate, kwargs=generation_kwargs)
thread.start()
generated_text = ""
for new_text in streamer:
    generated_text += new_text
thread.join()
result = generated_text
""")

SCORES = Snippet("""
from transformers import GPT2Tokenizer, AutoModelForCausalLM

tokenizer = GPT2Tokenizer.from_pretrained("openai-community/gpt2")
model = AutoModelForCausalLM.from_pretrained("openai-community/gpt2")
tokenizer.pad_token_id = tokenizer.eos_token_id
inputs = tokenizer(["Today is"], return_tensors="pt")
outputs = model.generate(**inputs, max_new_tokens=5, return_dict_in_generate=True,
                         output_scores=True, do_sample=False)
transition_scores = model.compute_transition_scores(outputs.sequences, outputs.scores,
                                                    normalize_logits=True)
beams = model.generate(**inputs, max_new_tokens=5, num_beams=4, num_return_sequences=4,
                       return_dict_in_generate=True, output_scores=True, do_sample=False)
beam_scores = model.compute_transition_scores(beams.sequences, beams.scores, beams.beam_indices,
                                              normalize_logits=False)
result = [transition_scores, beam_scores, beams.sequences_scores, type(outputs).__name__]
""")
