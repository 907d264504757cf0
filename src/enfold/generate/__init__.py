"""Generation: the decoding loop, outside the model.

    config      GenerationConfig and generation_config.json; no torch
    resolve     one printable configuration out of arguments, checkpoint and defaults; no torch
    checks      settings that contradict each other, mean nothing or have no effect; no torch
    api         generate(): what `model.generate` calls
    prompt, rows    arguments -> rows of ids, padded on the left; the encoder's output
    session     the rows being written and the model's state on them: one call per step
    loop        decode(): greedy search and sampling, an iterator of steps
    beam        beam search and beam sampling
    processors, penalties, warpers    edits of the scores; `chain` puts them in order
    stopping    when a row is finished
    stream      tokens out as text while they are made
    output      what generate returns with return_dict_in_generate
    scores      the scores of the tokens that were chosen
"""
