"""AdaLoRA: LoRA whose ranks are dealt out in training."""
