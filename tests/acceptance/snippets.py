"""What people write first, for transformers 4.57: from model cards and quick tours.

Names of models are folders, see checkpoints.py.  `result` is what is compared.
"""

from __future__ import annotations

from tests.acceptance import snippets_generating
from tests.acceptance.snippets_generating import Snippet

SENTIMENT = Snippet("""
from transformers import pipeline

classifier = pipeline("sentiment-analysis")
result = [classifier("We are very happy to show you the library."),
          classifier(["I hate this so much!", "The movie was wonderful."], top_k=None)]
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

SNIPPETS = {name.lower(): value for name, value in [*vars(snippets_generating).items(),
                                                    *list(globals().items())]
            if isinstance(value, Snippet)}
