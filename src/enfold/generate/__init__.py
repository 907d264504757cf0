"""Generation: the decoding loop, outside the model.

    config      GenerationConfig, generation_config.json; no torch
    resolve     one printable configuration out of the arguments, the checkpoint and the defaults; no torch
    checks      arguments that contradict each other, are out of range or would be ignored; no torch
    api         generate(): what `model.generate` calls
    prompt      arguments -> rows of ids, padded on the left, with their mask; the encoder's output
    session     the rows being written and the model's state on them: one call per step
    loop        decode(): greedy and sampling, an iterator of steps
    beam        beam search and beam sampling
    processors, penalties, warpers    edits of the scores; `chain` puts them in order
    stopping    when a row is finished
    stream      tokens out as text while they are made
    output      what generate returns with return_dict_in_generate
"""
