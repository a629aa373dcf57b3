"""The court of variants: every method of the family at its own best learning rate, on two tasks. For notebook 12.

    python -m studies.court                   # all that is missing, in this order; stop and go on as you like
    python -m studies.court --stage rates     # one stage
    python -m studies.court --minutes 60      # begin nothing new after an hour

Three stages, each a study with lines and a result of its own:

- ``rates``: five learning rates for each method and task, one seed, judged by the loss on the validation rows, without
  generating anything. Where the best lies at an end of its grid, the grid grows there, twice at most.
- ``final``: three other seeds at the best rate. Test rows are answered and scored, and what changed is measured:
  validation loss, perplexity on other text, the size of the update, intruder dimensions.
- ``cost``: once for each method, in a process of its own: numbers, bytes, memory, seconds per step, latency.

What comes out was predicted before, in ``predictions.py``. The final stage's verdict over each method, against LoRA
with the same seeds on the same rows, is "better", "worse" or "can't tell", by an interval. There are 26 of them at
95 %, so expect one or two of those that aren't "can't tell" to be luck.

On two quiet cores it takes about nine hours: rates four and a half (140 runs and some 20 more where grids grow; each 60
steps of 0.9 to 2.5 seconds, and ten seconds around them), final four (84 runs, and half a minute each for intruders),
cost half an hour. Were every grid to grow twice, it would be an hour more. For that, some things were cut:

- A step of sql has 4 rows and one of glosses 8, so that both have about 300 tokens.
- Rates are judged by one seed, by the loss after the last step. Its interval would need three times the runs.
- The rank, α, the number of virtual tokens and such stay at one value each. Only rates are tuned.
- Intruder dimensions leave out the embedding, and latency is that of a single row.
"""
