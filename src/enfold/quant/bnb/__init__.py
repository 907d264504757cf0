"""The formats of bitsandbytes: NF4, FP4 and LLM.int8."""
