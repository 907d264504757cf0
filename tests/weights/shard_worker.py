"""What test_shard.py runs as two processes: models cut over them, beside whole ones."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import torch
import torch.distributed as dist

from tests.weights.place_elsewhere import assert_close, build, inputs


def check(kind: str, suffix: str, folder: str, target: str) -> dict[str, Any]:
    """Outputs, gradients, tokens, sizes and files of a model cut over the processes."""
    family = build(kind, suffix)
    whole = family.from_pretrained(folder)
    torch.manual_seed(dist.get_rank() if dist.is_initialized() else 0)
    part = family.from_pretrained(folder, tp_plan="auto")
    drawn = [torch.empty(3) for _ in range(2)]
    dist.all_gather(drawn, torch.rand(3))
    assert torch.equal(*drawn), "sampling would differ"
    for padded in (False, True):
        given = inputs(padded)
        given["labels"] = (torch.tensor([0, 1]) if "Classification" in suffix
                           else given["input_ids"])
        wanted, found = whole(**given), part(**given)
        assert_close(found.logits, wanted.logits)
    for output in (wanted, found):
        output.loss.backward()
    gradients(whole, part)
    if whole.can_generate():
        for options in ({"do_sample": False}, {"num_beams": 3}):
            settings: dict[str, Any] = {**inputs(padded=kind != "gpt2"), "max_new_tokens": 6}
            if kind == "gpt2":
                settings.pop("attention_mask")
            assert torch.equal(part.generate(**settings, **options),
                               whole.generate(**settings, **options)), (kind, options)
    part.save_pretrained(target)
    dist.barrier()
    return {"whole": whole.num_parameters(), "part": part.num_parameters(),
            "cut": sum(whole.get_parameter(f"{path}.weight").numel() for path in part.tp_plan),
            "plan": part.tp_plan, "size": part.tp_size}


def gradients(whole: Any, part: Any) -> None:
    from enfold.weights.shard.model import gathered

    wanted = {name: p.grad for name, p in whole.named_parameters() if p.grad is not None}
    found = gathered(part, {name: p.grad for name, p in part.named_parameters()
                            if p.grad is not None})
    assert wanted.keys() == found.keys()
    for name, gradient in wanted.items():
        assert_close(found[name], gradient)


def main() -> None:
    torch.manual_seed(0)
    cases = json.loads(Path(sys.argv[1]).read_text())
    results = [check(*case) for case in cases]
    if dist.get_rank() == 0:
        Path(sys.argv[1] + ".out").write_text(json.dumps(results))
    dist.destroy_process_group()


if __name__ == "__main__":
    main()
