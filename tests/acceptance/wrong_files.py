"""Wrong uses around files and the tensors in them."""

from __future__ import annotations

import torch

from enfold import AutoTokenizer
from enfold import errors as e
from tests.acceptance.bench import LABEL, Code, Use, classifier_from, load

TABLE: dict[str, Use] = {
    # ---- files ----------------------------------------------------------------------------------
    "missing folder": (
        lambda b: load("./nowhere"),
        e.FileMissing,
        "no folder './nowhere'. Expected a folder with a model's files, or a Hub name such as "
        "'org/model'",
    ),
    "repository, offline": (
        lambda b: load("org/model"),
        e.FileMissing,
        "org/model: config.json is not in the cache, and HF_HUB_OFFLINE=1 forbids to download "
        "it. Looked for a folder 'org/model' here, then for HERE/cache/models--org--model. Do: "
        "load it once with a network, or give a local folder with the model's files, or point "
        "HF_HOME or cache_dir= at a cache that has it",
    ),
    "no name": (
        lambda b: load(None),
        e.FileMissing,
        "None names no model. Expected a folder, or a Hub name such as 'org/model'",
    ),
    "no such name": (
        lambda b: load("a b"),
        e.FileMissing,
        "'a b' is neither a folder here nor a Hub name. Expected a path, or 'org/model' of "
        "letters, digits, '-', '_' and '.'",
    ),
    "folder without a model": (
        lambda b: load(b.copy(config__json=None)),
        e.FileMissing,
        "BROKEN: no file 'config.json' (nearest: 'tokenizer_config.json', 'tokenizer.json'). "
        "It holds model.safetensors, special_tokens_map.json, tokenizer.json, "
        "tokenizer_config.json, vocab.txt. Do: give the folder that has it (subfolder= for one "
        "below), or a Hub name for which no folder exists here",
    ),
    "folder without weights": (
        lambda b: load(b.copy(model__safetensors=None)),
        e.FileMissing,
        "./BROKEN: no weights. Looked for model.safetensors, model.safetensors.index.json, "
        "pytorch_model.bin, pytorch_model.bin.index.json. Do: give a folder or repository that "
        "has the weights",
    ),
    "folder without a tokenizer": (
        lambda b: AutoTokenizer.from_pretrained("t5"),
        e.FileMissing,
        "t5: no tokenizer there. Looked for tokenizer.json, vocab.txt, vocab.json, merges.txt, "
        "spiece.model, tokenizer.model, sentencepiece.bpe.model, sentencepiece.model, "
        "spm.model, source.spm, target.spm, target_vocab.json, tiktoken.model, tekken.json, "
        "dict.txt, bpe.codes. Is this the model's own folder or repository, and the right "
        "revision?",
    ),
    "missing variant": (
        lambda b: load("classifier", variant="fp16"),
        e.FileMissing,
        "classifier: no weights. Looked for model.fp16.safetensors, "
        "model.safetensors.index.fp16.json, pytorch_model.fp16.bin, "
        "pytorch_model.bin.index.fp16.json. It has model.safetensors: load another than "
        "variant='fp16', or none",
    ),
    "missing subfolder": (
        lambda b: load("classifier", subfolder="unet"),
        e.FileMissing,
        "no folder 'classifier/unet'. classifier holds config.json, model.safetensors, "
        "special_tokens_map.json, tokenizer.json, tokenizer_config.json, vocab.txt. Do: "
        "correct subfolder=",
    ),
    "truncated weights": (
        lambda b: load(b.cut(100_000)),
        e.CheckpointError,
        "BROKEN/model.safetensors: truncated at tensor "
        "'distilbert.embeddings.word_embeddings.weight' (F32 [30522, 16]): its bytes are 2312 "
        "to 1955720, the file has 97368 of 1965704. Do: download or save the file again "
        "(force_download=True)",
    ),
    "truncated header": (
        lambda b: load(b.cut(40)),
        e.CheckpointError,
        "BROKEN/model.safetensors: not a whole safetensors file: 40 bytes, beginning with "
        "b'@\\n\\x00\\x00\\x00\\x00\\x00\\x00'. Expected the length of a header that fits. Do: "
        "download or save the file again (force_download=True)",
    ),
    "a page of HTML": (
        lambda b: load(b.copy(model__safetensors="<!DOCTYPE html>" * 9)),
        e.CheckpointError,
        "BROKEN/model.safetensors: not a whole safetensors file: 135 bytes, beginning with "
        "b'<!DOCTYP'. Expected the length of a header that fits. Do: download or save the file "
        "again (force_download=True)",
    ),
    "damaged torch file": (
        lambda b: load(b.copy(model__safetensors=None, pytorch_model__bin="abc" * 50)),
        e.CheckpointError,
        "BROKEN/pytorch_model.bin: not a whole torch file of 150 bytes (pop from empty list). "
        "Do: download it again (force_download=True)",
    ),
    "code in a pickle": (
        lambda b: load(b.pickled({"a": Code()})),
        e.UnsafePickle,
        "BROKEN/pytorch_model.bin: the pickle asks for 'posix.system', which is code. Nothing "
        "of it was executed. Expected only tensors. Do: take the safetensors file of the "
        "model, or, if you trust the file, save its tensors anew with "
        "torch.save(model.state_dict(), ...)",
    ),
    "bad JSON, config": (
        lambda b: load(b.copy(config__json='{"dim": 3,\n "x": }')),
        e.ConfigError,
        'BROKEN/config.json: bad JSON at line 2, column 7: Expecting value, near \'{"dim": '
        '3,\\n "x": }\'. Do: mend that line, or download the file again (force_download=True)',
    ),
    "config of another kind": (
        lambda b: load(b.copy(config__json="[1]")),
        e.ConfigError,
        "BROKEN/config.json: holds a JSON list. Expected an object, {...}, at the top",
    ),
    "bad JSON, tokenizer": (
        lambda b: AutoTokenizer.from_pretrained(b.copy(tokenizer__json="{,")),
        e.TokenizerError,
        "BROKEN/tokenizer.json: not valid JSON at line 1, column 2: Expecting property name "
        "enclosed in double quotes. Is the download complete?",
    ),
    "foreign tokenizer": (
        lambda b: AutoTokenizer.from_pretrained(b.copy(tokenizer__json='{"a": 1}')),
        e.TokenizerError,
        "BROKEN/tokenizer.json: the engine can't run this tokenizer.json: expected `,` or `}` "
        "at line 1 column 5. Was it written by a newer `tokenizers`? Do: pip install -U "
        "tokenizers",
    ),
    "bad JSON, tokenizer_config": (
        lambda b: AutoTokenizer.from_pretrained(b.copy(tokenizer_config__json="{")),
        e.ConfigError,
        "BROKEN/tokenizer_config.json: bad JSON at line 1, column 2: Expecting property name "
        "enclosed in double quotes, near '{'. Do: mend that line, or download the file again "
        "(force_download=True)",
    ),
    "bad index": (
        lambda b: load(b.index("{}")),
        e.CheckpointError,
        "BROKEN/model.safetensors.index.json: no weight_map. Expected {'weight_map': {tensor: "
        "shard file}}, got the keys []",
    ),
    "index of a missing shard": (
        lambda b: load(b.index('{"weight_map": {"a": "one.safetensors"}}')),
        e.FileMissing,
        "BROKEN/model.safetensors.index.json: the shard 'one.safetensors' is missing, which "
        "holds the tensors a. BROKEN: no file 'one.safetensors' (nearest: "
        "'model.safetensors.index.json'). It holds config.json, model.safetensors.index.json, "
        "special_tokens_map.json, tokenizer.json, tokenizer_config.json, vocab.txt. Do: give "
        "the folder that has it (subfolder= for one below), or a Hub name for which no folder "
        "exists here",
    ),
    "save into a file": (
        lambda b: b.gpt.save_pretrained("gpt/config.json"),
        e.FileMissing,
        "can't save to gpt/config.json: it is a file. Expected a folder, or a name that is free",
    ),
    "shard size": (
        lambda b: b.gpt.save_pretrained("out", max_shard_size="5XB"),
        e.CheckpointError,
        "max_shard_size='5XB' is not a size. Expected a number of bytes, or such as '500MB', "
        "'5GB' or '5GiB'",
    ),
    "unknown option of saving": (
        lambda b: b.gpt.save_pretrained("out", max_shards_size=3),
        e.ArgumentError,
        "save_pretrained: unknown argument 'max_shards_size' (nearest: 'max_shard_size')",
    ),
    "upload, offline": (
        lambda b: b.gpt.push_to_hub("org/model"),
        e.FileMissing,
        "can't upload to org/model: HF_HUB_OFFLINE=1 forbids the network. Do: unset it for this",
    ),
    # ---- tensors --------------------------------------------------------------------------------
    "wrong shape": (
        lambda b: classifier_from(b.weights(lambda t: t.update({LABEL: torch.ones(3, 3)}))),
        e.CheckpointError,
        "DistilBertForSequenceClassification: tensor "
        "'distilbert.transformer.layer.0.ffn.lin1.weight' has shape (3, 3), expected (32, 16) "
        "(body.layers.*.mlp.up -> distilbert.transformer.layer.*.ffn.lin1). Do: check "
        "config.json against the weights, or load with ignore_mismatched_sizes=True to "
        "initialise it anew",
    ),
    "missing tensor": (
        lambda b: classifier_from(b.weights(lambda t: t.pop(LABEL))),
        e.CheckpointError,
        "DistilBertForSequenceClassification: checkpoint has no tensor "
        "'distilbert.transformer.layer.0.ffn.lin1.weight' (needed by body.layers.*.mlp.up -> "
        "distilbert.transformer.layer.*.ffn.lin1) (nearest: "
        "'distilbert.transformer.layer.0.ffn.lin2.weight', "
        "'distilbert.transformer.layer.0.ffn.lin1.bias', "
        "'distilbert.transformer.layer.0.ffn.lin2.bias'). Do: check that config.json belongs "
        "to these weights",
    ),
    "unexpected tensor": (
        lambda b: classifier_from(
            b.weights(lambda t: t.update({LABEL.replace("0", "7"): torch.ones(3, 3)}))
        ),
        e.CheckpointError,
        "DistilBertForSequenceClassification: the checkpoint holds tensors that the model has "
        "no place for: 'distilbert.transformer.layer.7.ffn.lin1.weight' (nearest: "
        "'distilbert.transformer.layer.*.ffn.lin1', 'distilbert.transformer.layer.*.ffn.lin2', "
        "'distilbert.transformer.layer.*.attention.v_lin'). Do: check that config.json belongs "
        "to these weights (layers, architecture)",
    ),
    "another vocabulary": (
        lambda b: classifier_from(b.config(vocab_size=100)),
        e.CheckpointError,
        "DistilBertForSequenceClassification: tensor "
        "'distilbert.embeddings.word_embeddings.weight' has shape (30522, 16), expected (100, "
        "16) (body.embed.token -> distilbert.embeddings.word_embeddings). Do: check "
        "config.json against the weights, or load with ignore_mismatched_sizes=True to "
        "initialise it anew",
    ),
    "another number of labels": (
        lambda b: classifier_from("classifier", num_labels=5),
        e.CheckpointError,
        "DistilBertForSequenceClassification: tensor 'classifier.weight' has shape (2, 16), "
        "expected (5, 16) (head.out -> classifier). Do: check config.json against the weights, "
        "or load with ignore_mismatched_sizes=True to initialise it anew",
    ),
}
