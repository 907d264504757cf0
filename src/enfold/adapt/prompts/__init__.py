"""Methods that add to a model's inputs: prompt tuning, P-tuning, prefix tuning."""
