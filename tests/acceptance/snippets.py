"""What people write first, for transformers 4.57: from model cards and quick tours.

Names of models are folders, see checkpoints.py.  `result` is what is compared.
"""

from __future__ import annotations

from typing import NamedTuple


class Snippet(NamedTuple):
    """A program; `only4`: transformers 5 no longer runs it."""

    code: str
    only4: bool = False


SENTIMENT = Snippet("""
from transformers import pipeline

classifier = pipeline("sentiment-analysis")
result = [classifier("We are very happy to show you the library."),
          classifier(["I hate this so much!", "The movie was wonderful."], top_k=None)]
""")

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

QUESTION_ANSWERING = Snippet("""
from transformers import pipeline

question_answerer = pipeline("question-answering",
                             model="distilbert/distilbert-base-uncased-distilled-squad")
context = r\"\"\"
Extractive Question Answering is the task of extracting an answer from a text given a question. An
example of a question answering dataset is the SQuAD dataset, which is entirely based on that task.
\"\"\"
result = question_answerer(question="What is a good example of a question answering dataset?",
                           context=context)
""", only4=True)

QUESTION_BY_HAND = Snippet("""
from transformers import DistilBertTokenizer, DistilBertForQuestionAnswering
import torch

name = "distilbert/distilbert-base-uncased-distilled-squad"
tokenizer = DistilBertTokenizer.from_pretrained(name)
model = DistilBertForQuestionAnswering.from_pretrained(name)

question, text = "Who was Jim Henson?", "Jim Henson was a nice puppet"
inputs = tokenizer(question, text, return_tensors="pt")
with torch.no_grad():
    outputs = model(**inputs)

answer_start_index = torch.argmax(outputs.start_logits)
answer_end_index = torch.argmax(outputs.end_logits)
predict_answer_tokens = inputs.input_ids[0, answer_start_index : answer_end_index + 1]
result = [tokenizer.decode(predict_answer_tokens), outputs.start_logits]
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

FILL_MASK = Snippet("""
from transformers import pipeline

unmasker = pipeline("fill-mask", model="FacebookAI/roberta-base")
result = unmasker("Hello I'm a <mask> model.")
""")

MASKED_BY_HAND = Snippet("""
from transformers import AutoTokenizer, BertForMaskedLM
import torch

tokenizer = AutoTokenizer.from_pretrained("google-bert/bert-base-uncased")
model = BertForMaskedLM.from_pretrained("google-bert/bert-base-uncased")
inputs = tokenizer("The capital of France is [MASK].", return_tensors="pt")
with torch.no_grad():
    logits = model(**inputs).logits
mask_token_index = (inputs.input_ids == tokenizer.mask_token_id)[0].nonzero(as_tuple=True)[0]
predicted_token_id = logits[0, mask_token_index].argmax(axis=-1)
labels = tokenizer("The capital of France is Paris.", return_tensors="pt")["input_ids"]
labels = torch.where(inputs.input_ids == tokenizer.mask_token_id, labels, -100)
outputs = model(**inputs, labels=labels)
result = [tokenizer.decode(predicted_token_id), round(outputs.loss.item(), 4)]
""")

NER = Snippet("""
from transformers import AutoTokenizer, AutoModelForTokenClassification
from transformers import pipeline

tokenizer = AutoTokenizer.from_pretrained("dslim/bert-base-NER")
model = AutoModelForTokenClassification.from_pretrained("dslim/bert-base-NER")
nlp = pipeline("ner", model=model, tokenizer=tokenizer)
example = "My name is Wolfgang and I live in Berlin"
grouped = pipeline("ner", model=model, tokenizer=tokenizer, aggregation_strategy="simple")
result = [nlp(example), grouped(example)]
""")

ZERO_SHOT = Snippet("""
from transformers import pipeline

classifier = pipeline("zero-shot-classification", model="facebook/bart-large-mnli")
sequence_to_classify = "one day I will see the world"
candidate_labels = ["travel", "cooking", "dancing"]
result = [classifier(sequence_to_classify, candidate_labels),
          classifier(sequence_to_classify, candidate_labels, multi_label=True)]
""")

FEATURES = Snippet("""
from transformers import pipeline

extractor = pipeline("feature-extraction", model="google-bert/bert-base-uncased")
result = extractor("Replace me by any text.")
""")

BASE_MODEL = Snippet("""
from transformers import BertTokenizer, BertModel

tokenizer = BertTokenizer.from_pretrained("google-bert/bert-base-uncased")
model = BertModel.from_pretrained("google-bert/bert-base-uncased", add_pooling_layer=False)
encoded_input = tokenizer("Replace me by any text you'd like.", return_tensors="pt")
output = model(**encoded_input, output_hidden_states=True)
result = [output.last_hidden_state, len(output.hidden_states), output[0].shape]
""")

CLASSIFIER = Snippet("""
import torch
from transformers import AutoTokenizer, AutoModelForSequenceClassification

checkpoint = "distilbert/distilbert-base-uncased-finetuned-sst-2-english"
tokenizer = AutoTokenizer.from_pretrained(checkpoint)
model = AutoModelForSequenceClassification.from_pretrained(checkpoint)
sequences = ["I've been waiting for a course my whole life.", "So have I!"]
tokens = tokenizer(sequences, padding=True, truncation=True, return_tensors="pt")
with torch.no_grad():
    logits = model(**tokens).logits
predictions = torch.nn.functional.softmax(logits, dim=-1)
result = [predictions, [model.config.id2label[i] for i in logits.argmax(-1).tolist()],
          tokenizer.convert_ids_to_tokens(tokens["input_ids"][1])]
""")

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

FREEZE = Snippet("""
from transformers import AutoModelForSequenceClassification

model = AutoModelForSequenceClassification.from_pretrained(
    "distilbert/distilbert-base-uncased-finetuned-sst-2-english")
for name, param in model.named_parameters():
    if not name.startswith(("pre_classifier", "classifier")):
        param.requires_grad = False
trained = [name for name, param in model.named_parameters() if param.requires_grad]
for param in model.distilbert.transformer.layer[1].parameters():
    param.requires_grad = True
result = [trained, model.num_parameters(only_trainable=True), model.num_parameters(),
          sorted(model.state_dict()), tuple(model.classifier.weight.shape)]
""")

TRAINING = Snippet("""
import torch
from transformers import AutoTokenizer, AutoModelForSequenceClassification

checkpoint = "distilbert/distilbert-base-uncased-finetuned-sst-2-english"
tokenizer = AutoTokenizer.from_pretrained(checkpoint)
model = AutoModelForSequenceClassification.from_pretrained(
    checkpoint, dropout=0.0, attention_dropout=0.0, seq_classif_dropout=0.0)
sequences = ["I've been waiting for a course my whole life.", "This course is amazing!"]
batch = tokenizer(sequences, padding=True, truncation=True, return_tensors="pt")
batch["labels"] = torch.tensor([1, 0])

optimizer = torch.optim.AdamW(model.parameters(), lr=1e-3)
model.train()
losses = []
for step in range(10):
    outputs = model(**batch)
    loss = outputs.loss
    loss.backward()
    optimizer.step()
    optimizer.zero_grad()
    losses.append(loss.item())
result = losses
""")

SAVING = Snippet("""
import tempfile
import torch
from transformers import AutoTokenizer, AutoModelForSequenceClassification

checkpoint = "distilbert/distilbert-base-uncased-finetuned-sst-2-english"
tokenizer = AutoTokenizer.from_pretrained(checkpoint)
model = AutoModelForSequenceClassification.from_pretrained(checkpoint)
with tempfile.TemporaryDirectory() as directory:
    tokenizer.save_pretrained(directory)
    model.save_pretrained(directory)
    model = AutoModelForSequenceClassification.from_pretrained(directory)
    tokenizer = AutoTokenizer.from_pretrained(directory)
result = model(**tokenizer("Saved and loaded.", return_tensors="pt")).logits
""")

NEW_HEAD = Snippet("""
from transformers import AutoModelForSequenceClassification, AutoTokenizer

id2label = {0: "anger", 1: "joy", 2: "fear"}
label2id = {"anger": 0, "joy": 1, "fear": 2}
model = AutoModelForSequenceClassification.from_pretrained(
    "distilbert/distilbert-base-uncased", num_labels=3, id2label=id2label, label2id=label2id)
tokenizer = AutoTokenizer.from_pretrained("distilbert/distilbert-base-uncased")
logits = model(**tokenizer("Hello", return_tensors="pt")).logits
result = [model.config.id2label, model.config.label2id, model.config.num_labels, logits.shape,
          float(model.classifier.bias.abs().sum())]
""")

FROM_SCRATCH = Snippet("""
from transformers import BertConfig, BertModel, AutoConfig, AutoModelForCausalLM, LlamaConfig

config = BertConfig(hidden_size=32, num_hidden_layers=2, num_attention_heads=4,
                    intermediate_size=48)
model = BertModel(config)
configuration = AutoConfig.from_pretrained("openai-community/gpt2", n_layer=3)
gpt = AutoModelForCausalLM.from_config(configuration)
result = [model.num_parameters(), config.hidden_act, config.vocab_size, gpt.num_parameters(),
          configuration.n_layer, LlamaConfig().rms_norm_eps]
""")

TOKENS = Snippet("""
from transformers import AutoTokenizer

tokenizer = AutoTokenizer.from_pretrained("google-bert/bert-base-uncased")
encoded = tokenizer("Do not meddle in the affairs of wizards.", "They are subtle.")
batch = tokenizer(["But what about second breakfast?", "Don't."], padding=True, truncation=True,
                  max_length=8, return_tensors="pt")
num_added_toks = tokenizer.add_tokens(["new_tok1", "my_new-tok2"])
result = [dict(encoded), tokenizer.decode(encoded["input_ids"]), dict(batch),
          tokenizer.tokenize("Using a Transformer network is simple"), num_added_toks,
          len(tokenizer), encoded.word_ids()]
""")

RESIZE = Snippet("""
from transformers import AutoTokenizer, AutoModelForCausalLM

tokenizer = AutoTokenizer.from_pretrained("openai-community/gpt2")
model = AutoModelForCausalLM.from_pretrained("openai-community/gpt2")
tokenizer.add_special_tokens({"pad_token": "[PAD]"})
model.resize_token_embeddings(len(tokenizer))
model.config.pad_token_id = tokenizer.pad_token_id
inputs = tokenizer(["Hello", "Hello there, my friend"], padding=True, return_tensors="pt")
result = [model.get_input_embeddings().weight.shape, model.lm_head.weight.shape,
          inputs["input_ids"], model.config.vocab_size]
""")

SNIPPETS = {name.lower(): value for name, value in list(globals().items())
            if isinstance(value, Snippet)}
