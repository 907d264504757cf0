"""A schedule-free optimizer's averages are what is evaluated, saved and left at the end."""

from __future__ import annotations

import torch

from enfold import BertConfig, BertForSequenceClassification, Dataset, Trainer, TrainingArguments


def run(folder, **more):
    torch.manual_seed(0)
    config = BertConfig(vocab_size=30, hidden_size=8, num_hidden_layers=1, num_attention_heads=2,
                        intermediate_size=8, hidden_dropout_prob=0.0,
                        attention_probs_dropout_prob=0.0)
    rows = {"input_ids": [[i % 30, (7 * i) % 30, 3] for i in range(64)],
            "labels": [i % 2 for i in range(64)]}
    args = TrainingArguments(str(folder), optim="schedule_free_adamw", learning_rate=0.05,
                             lr_scheduler_type="constant", max_steps=12, report_to="none",
                             per_device_train_batch_size=8, disable_tqdm=True, **more)
    trainer = Trainer(BertForSequenceClassification(config), args,
                      train_dataset=Dataset.from_dict(rows))
    trainer.train(resume_from_checkpoint=more.get("resume_from_checkpoint"))
    return trainer


def weights(model):
    return torch.cat([weight.detach().flatten() for weight in model.parameters()])


def test_the_averages_are_left_and_saved(tmp_path):
    trainer = run(tmp_path, save_steps=12)
    learnt = weights(trainer.model).clone()
    trainer.optimizer.train()
    assert not torch.equal(weights(trainer.model), learnt)
    saved = BertForSequenceClassification.from_pretrained(tmp_path / "checkpoint-12")
    torch.testing.assert_close(weights(saved), learnt, rtol=0, atol=0)
    trainer.save_model(str(tmp_path / "model"))
    saved = BertForSequenceClassification.from_pretrained(tmp_path / "model")
    torch.testing.assert_close(weights(saved), learnt)
