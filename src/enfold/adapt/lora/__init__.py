"""LoRA: a weight plus a product of two thin matrices."""
