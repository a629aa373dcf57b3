"""How many examples does it take? LoRA, simple classifiers and frozen features on 8 to 1,344 rows. For notebook 06.

    python -m studies.data_size                   # all that is missing; stop and go on as you like
    python -m studies.data_size --stage rates     # one stage
    python -m studies.data_size --minutes 60      # begin nothing new after an hour

- ``rates``: which learning rate suits 24 rows of `glosses`, and which 240, by the validation rows, with seed 0.
- ``glosses``: TF-IDF with logistic regression, the nearest neighbor, frozen features, and LoRA, with three seeds. A
  seed draws the rows, begins A, and orders the rows. With 24 and 72 of them, LoRA's loss on 48 validation rows is
  looked at on the way, and the best weights are scored beside the last.
- ``changelog``: the first two of them.

The few rows of a seed are among the more of the same seed, so a curve is of one drawing that grows. Rows of `glosses`
are drawn with equally many of each category (of 8 rows, one each of eight categories: the other sixteen can't be
learned, and a third is the most that can be right); those of `changelog` as they come, with its own shares.

It takes about 80 minutes of one thread: 65 for LoRA, and some 15 for the rivals, half of them for the features. For
that, some things were cut:

- A size has one number of steps, fewer where rows are few, and they weren't tuned. Rates were, at two sizes; 8 and 72
  rows take the rate of 24, and 600 and more that of the court, which chose among five with 60 steps of all the rows.
- All methods choose on the 192 validation rows, which a team with eight rows wouldn't have. It's the same for all.
- LoRA isn't trained on few rows of `changelog`, whose rows are twice as long. Its curve is that of the rivals.
- Early stopping is tried at two sizes.
- Right or wrong is read off one pass over the right answers (`one_pass.py`). One run is scored by generation, too.

Predictions are in ``predictions.py``.
"""
