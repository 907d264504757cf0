"""Placement: which device holds which part of a model, and running it there.

    parts     what is never split: a block of the stack, an embedding, a head
    planner   sizes and limits -> places; pure
    request   device_map=, max_memory= and what else a user asks for
    disk      tensors that stay in files
    run       a model over several places
"""
