"""`enfold train`, on local files and tiny models."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import pytest

from enfold.train.recipes.recipe import read_recipe

WORDS = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", "good", "bad", "film", "food", "a", "the",
         "who", "ann", "ben", "ate", "?", "."]
BERT = {"hidden_size": 16, "num_hidden_layers": 1, "num_attention_heads": 2,
        "intermediate_size": 24, "max_position_embeddings": 24, "vocab_size": len(WORDS),
        "hidden_dropout_prob": 0.0, "attention_probs_dropout_prob": 0.0}
LLAMA = {"hidden_size": 16, "num_hidden_layers": 1, "num_attention_heads": 2,
         "num_key_value_heads": 2, "intermediate_size": 24, "max_position_embeddings": 24,
         "vocab_size": len(WORDS), "pad_token_id": 0, "eos_token_id": 3, "bos_token_id": 2}
BART = {"d_model": 16, "encoder_layers": 1, "decoder_layers": 1, "encoder_attention_heads": 2,
        "decoder_attention_heads": 2, "encoder_ffn_dim": 24, "decoder_ffn_dim": 24,
        "vocab_size": len(WORDS), "max_position_embeddings": 24, "pad_token_id": 0,
        "eos_token_id": 3, "bos_token_id": 2, "decoder_start_token_id": 3,
        "forced_eos_token_id": 3}
HEADS = {"bert": (BERT, "BertModel"), "llama": (LLAMA, "LlamaForCausalLM"),
         "bart": (BART, "BartForConditionalGeneration")}
SQUAD = {"question": "who ate ?", "context": "the film . ann ate the food . " * 3,
         "answers": {"text": ["ann"], "answer_start": [11]}}
NO_ANSWER = SQUAD | {"answers": {"text": [], "answer_start": []}}
CASES: dict[str, tuple[str, list[dict[str, Any]], dict[str, Any]]] = {
    "text-classification": ("bert", [{"text": "a good film", "label": "yes"},
                                     {"text": "the bad food", "label": "no"}], {}),
    "token-classification": ("bert", [{"tokens": ["ann", "ate"], "tags": ["P", "O"]},
                                      {"tokens": ["the", "food", "?"], "tags": ["O", "O", "O"]}],
                             {}),
    "question-answering": ("bert", [SQUAD, NO_ANSWER], {"doc_stride": 4}),
    "causal-lm": ("llama", [{"q": "who ate ?", "a": "ann"}, {"q": "good film ?", "a": "bad"}],
                  {"prompt": "q", "completion": "a"}),
    "masked-lm": ("bert", [{"text": "a good film"}, {"text": "ben ate the food"}],
                  {"mlm_probability": 0.5}),
    "seq2seq": ("bart", [{"source": "good", "target": "bad film"}, {"source": "ann",
                                                                    "target": "ben"}], {}),
}


@pytest.fixture(scope="module")
def models(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """Folders of tiny models with one vocabulary of words."""
    from tokenizers import Tokenizer, models, pre_tokenizers, processors

    import enfold

    engine = Tokenizer(models.WordLevel({word: n for n, word in enumerate(WORDS)}, "[UNK]"))
    engine.pre_tokenizer = pre_tokenizers.Whitespace()
    engine.post_processor = processors.BertProcessing(("[SEP]", 3), ("[CLS]", 2))
    tokenizer = enfold.PreTrainedTokenizerFast(
        tokenizer_object=engine, pad_token="[PAD]", unk_token="[UNK]", cls_token="[CLS]",
        sep_token="[SEP]", mask_token="[MASK]", eos_token="[SEP]")
    found = {}
    for name, (config, head) in HEADS.items():
        folder = tmp_path_factory.mktemp(name)
        enfold.set_seed(0)
        model = getattr(enfold, head)(enfold.AutoConfig.for_model(name, **config))
        model.save_pretrained(folder)
        tokenizer.save_pretrained(folder)
        found[name] = str(folder)
    return found


@pytest.fixture
def written(models: dict[str, str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
    """`written(task, key=...)`: a JSON recipe for the task with these sections changed."""
    monkeypatch.setenv("ENFOLD_CACHE", str(tmp_path / "cache"))
    monkeypatch.setenv("HF_DATASETS_CACHE", str(tmp_path / "datasets"))

    def write(task: str, rows: list[dict[str, Any]] | None = None, /, **sections: Any) -> Path:
        kind, usual, data = CASES[task]
        file = tmp_path / "rows.jsonl"
        file.write_text("".join(json.dumps(row) + "\n" for row in (rows or usual) * 6))
        recipe = {"task": task, "model": models[kind], "output": str(tmp_path / "out"),
                  "data": {"path": "json", "data_files": {"train": str(file),
                                                          "test": str(file)}, **data},
                  "training": {"max_steps": 4, "per_device_train_batch_size": 4, "use_cpu": True,
                               "learning_rate": 0.01, "report_to": "none", "disable_tqdm": True,
                               "save_strategy": "no"}} | sections
        path = tmp_path / "recipe.json"
        path.write_text(json.dumps(recipe))
        return path

    return write


@pytest.mark.parametrize("task", CASES)
def test_every_task_trains_and_is_saved(command, written, tmp_path: Path, task: str) -> None:
    adapter = {"method": "lora", "r": 2, "target_modules": "all-linear", "merge": True} \
        if task in ("text-classification", "causal-lm") else "none"
    done = command("train", written(task, adapter=adapter))
    assert done.code == 0, done.err
    assert f"task        {task}" in done.out and "steps       4 of 4 rows, " in done.out
    assert "eval_loss" in done.out
    out = tmp_path / "out"
    assert {"model.safetensors", "config.json", "tokenizer.json", "trainer_state.json", "README.md",
            "recipe.json"} <= {path.name for path in out.iterdir()}
    logged = json.loads((out / "trainer_state.json").read_text())["log_history"]
    assert any("eval_loss" in row for row in logged)


def test_a_trained_classifier_knows_its_labels(command, written, tmp_path: Path) -> None:
    import enfold

    training = {"num_train_epochs": 20, "learning_rate": 0.02, "use_cpu": True, "report_to": "none",
                "per_device_train_batch_size": 4, "disable_tqdm": True, "save_strategy": "no"}
    done = command("train", written("text-classification", training=training))
    assert done.code == 0, done.err
    score = next(line for line in done.out.splitlines() if line.startswith("eval_accuracy"))
    assert float(score.split()[1]) == 1.0
    classify = enfold.pipeline("text-classification", model=str(tmp_path / "out"))
    assert [classify(text)[0]["label"] for text in ("a good film", "the bad food")] == ["yes", "no"]


def test_an_adapter_is_saved_beside_its_base(command, written, tmp_path: Path) -> None:
    path = written("text-classification", adapter={"r": 2, "target_modules": ["query"]})
    assert command("train", path).code == 0
    names = {file.name for file in (tmp_path / "out").iterdir()}
    assert "adapter_model.safetensors" in names and "model.safetensors" not in names


def test_dry_run_says_and_writes_nothing(command, written, tmp_path: Path) -> None:
    path = written("text-classification", adapter={"r": 2, "target_modules": ["query"]})
    done = command("train", path, "--dry-run")
    assert done.code == 0, done.err
    assert "12 to train on, 12 to evaluate on, up to 24 tokens each" in done.out
    assert "parameters  98 of " in done.out  # A and B of 2 x 16, and the head of 2 x 16 + 2
    assert not (tmp_path / "out").exists()


def test_resuming(command, written) -> None:
    training = {"max_steps": 2, "use_cpu": True, "report_to": "none", "disable_tqdm": True,
                "save_strategy": "steps", "save_steps": 2, "per_device_train_batch_size": 4}
    assert command("train", written("masked-lm", training=training)).code == 0
    done = command("train", written("masked-lm", training=training | {"max_steps": 3}), "--resume")
    assert done.code == 0, done.err
    assert "'step': 2" not in done.out and "steps       3 of 4 rows" in done.out


@pytest.mark.parametrize(("data", "sizes"), [
    ({}, (12, 12)), ({"eval_split": 0.25}, (9, 3)), ({"eval_split": "none"}, (12, None)),
    ({"eval_split": "train"}, (12, 12)),
])
def test_what_is_held_out(written, data: dict[str, Any], sizes: tuple[int, int | None]) -> None:
    from enfold.train.recipes import prepare

    path = written("text-classification")
    recipe = json.loads(path.read_text())
    recipe["data"] |= data
    path.write_text(json.dumps(recipe))
    run = prepare(read_recipe(path))
    assert (len(run.train), None if run.held_out is None else len(run.held_out)) == sizes


def test_rows_of_completions_learn_completions_only(written) -> None:
    from enfold.train.recipes import prepare

    row = prepare(read_recipe(written("causal-lm"))).train[0]
    assert row["input_ids"] == [2, 11, 14, 15, 12, 3]  # [CLS] who ate ? ann [SEP]
    assert row["labels"] == [-100, -100, -100, -100, 12, 3]


def test_windows_of_questions_point_at_the_answer(written) -> None:
    from enfold.train.recipes import prepare

    rows = prepare(read_recipe(written("question-answering"))).train
    first, other = rows[0], rows[1]
    assert first["input_ids"][first["start_positions"]] == WORDS.index("ann")
    assert first["start_positions"] == first["end_positions"]
    assert other["start_positions"] == other["end_positions"] == 0


@pytest.mark.parametrize(("labels", "outputs", "score"), [
    ([0, 2], 3, "eval_accuracy"), ([0.5, 1.5], 1, "eval_mse")])
def test_labels_that_are_numbers(command, written, tmp_path: Path, labels: list[Any], outputs: int,
                                 score: str) -> None:
    rows = [{"text": "a film", "label": label} for label in labels]
    done = command("train", written("text-classification", rows))
    assert done.code == 0, done.err
    assert score in done.out
    import enfold

    assert enfold.AutoConfig.from_pretrained(str(tmp_path / "out")).num_labels == outputs


@pytest.mark.parametrize("task", CASES)
def test_examples_are_recipes(command, tmp_path: Path, task: str) -> None:
    path = tmp_path / "recipe.yaml"
    path.write_text(command("train", "--example", task).out)
    recipe = read_recipe(path)
    assert recipe.task.name == task and recipe.arguments().learning_rate == 2e-4
    assert recipe.adapter == {"r": 8, "lora_alpha": 16, "lora_dropout": 0.05,
                              "merge": task.endswith("classification")}


def test_yaml_words(written) -> None:
    path = written("masked-lm").with_suffix(".yaml")
    path.write_text("task: masked-lm\nmodel: m\ndata: {path: csv, data_files: a.csv, sep: ;}\n"
                    "output: o\ntraining:\n  learning_rate: 2e-5\n  eval_strategy: no\n")
    recipe = read_recipe(path)
    assert recipe.training == {"learning_rate": 2e-5, "eval_strategy": "no"}
    assert recipe.load == {"path": "csv", "data_files": "a.csv", "sep": ";"}
    assert recipe.adapter is None


WRONG = [
    ({"modle": 1}, "recipe.json: unknown argument 'modle' (nearest: 'model')"),
    ({"output": None}, "recipe.json has no 'output'"),
    ({"task": "text-clasification"}, "'text-clasification' (nearest: 'text-classification'"),
    ({"model": {"nam": "a"}}, "recipe.json: model: unknown argument 'nam' (nearest: 'name'"),
    ({"model": {"dtype": "float32"}}, "model has no 'name'"),
    ({"model": 3}, "model is 3, expected a name or keys and values"),
    ({"data": {"text": "text"}}, "data has no 'path'"),
    ({"data": {"path": "csv", "lable": "y"}}, "data: unknown argument 'lable' (nearest: 'label'"),
    ({"data": {"path": "csv", "streaming": True}}, "data: 'streaming' can't be used in a recipe"),
    ({"adapter": {"method": "ia3"}}, "adapter: method is 'ia3', expected one of none, lora"),
    ({"adapter": {"rr": 8, "lora_alfa": 8}}, "'lora_alfa' (nearest: 'lora_alpha'"),
    ({"adapter": {"method": "none", "r": 8}}, "method is none, and r would have no effect"),
    ({"training": {"learning_rat": 1}}, "recipe.json: training: unknown argument 'learning_rat'"),
    ({"training": {"output_dir": "x"}}, "Do: say `output:` beside"),
    ({"training": {"max_steps": 1, "learning_rate": "fast"}},
     "recipe.json: training: TrainingArguments: got learning_rate='fast'"),
    ({"training": 3}, "training is 3, expected keys and values"),
]


@pytest.mark.parametrize(("sections", "message"), WRONG)
def test_wrong_recipes_in_one_line(command, written, sections: dict[str, Any],
                                   message: str) -> None:
    done = command("train", written("text-classification", **sections), "--dry-run")
    assert (done.code, done.out) == (1, "")
    assert message in done.err and done.err.count("\n") == 1


@pytest.mark.parametrize(("data", "message"), [
    ({"text": "txt"}, "recipe.json: data: there is no column 'txt' (nearest: 'text') for 'text'"),
    ({"eval_split": "tset"}, "eval_split is 'tset' (nearest: 'test'), expected one of train, test"),
    ({"label": "text2"}, "there is no column 'text2'"),
    ({"zzz": 1}, "recipe.json: data: load_dataset('json'): unknown argument 'zzz'"),
])
def test_data_that_does_not_fit(command, written, data: dict[str, Any], message: str) -> None:
    path = written("text-classification")
    recipe = json.loads(path.read_text())
    recipe["data"] |= data
    path.write_text(json.dumps(recipe))
    done = command("train", path, "--dry-run")
    assert done.code == 1 and message in done.err, done.err


@pytest.mark.parametrize(("text", "message"), [
    ("task: [", "recipe.yaml is not YAML"),
    ("- a", "recipe.yaml holds list, expected keys and values"),
    ("task: a\ntask: b", "the key 'task' stands here twice"),
])
def test_files_that_are_no_recipes(command, tmp_path: Path, text: str, message: str) -> None:
    path = tmp_path / "recipe.yaml"
    path.write_text(text)
    done = command("train", path)
    assert done.code == 1 and message in done.err, done.err


def test_wrong_use(command, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert "expected a recipe, or --example TASK" in command("train").err
    assert "there is no such file" in command("train", tmp_path / "a.yaml").err
    assert "(nearest: 'seq2seq')" in command("train", "--example", "seqseq").err
    path = tmp_path / "a.yaml"
    path.write_text("task: seq2seq")
    monkeypatch.setitem(sys.modules, "yaml", None)
    assert "pip install 'enfold[train]'" in command("train", path).err
