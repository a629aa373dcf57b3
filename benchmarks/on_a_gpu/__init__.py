"""Everything labkit promises on a GPU, checked and timed on one card, in under eight minutes.

    make test-gpu                                         # or, in an environment of your own:
    python -m benchmarks.on_a_gpu                         # writes data/results/gpu/<card>.json
    python -m benchmarks.on_a_gpu --device cpu --tiny     # the same code in a minute or two, without a GPU

It fetches nothing: the base comes from its cache (``LABKIT_CACHE`` says where that is), and every other model has the
shape of a known one and random weights, made on the card. Each part runs in a process of its own, with a time limit,
and what it has measured is kept even if it dies.
"""
