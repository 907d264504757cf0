"""Tensor parallelism: each rank holds some of the heads and of the feed-forward's features.

    q, k, v, gate, up     cut by outputs: each rank computes its heads and features
    o, down               cut by inputs: what the ranks give is summed
    the head              computed by outputs, the logits put together; cut unless it is tied

    cut        which part of a tensor a rank has
    layers     linear layers that are cut
    model      the pass over a built model, reading and gathering
"""
