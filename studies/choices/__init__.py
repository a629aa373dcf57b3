"""What to choose: a rank, a scale, a learning rate, a batch size, layers. And what goes wrong. For notebook 05.

    python -m studies.choices                   # all that is missing; stop and go on as you like
    python -m studies.choices --stage rank      # one choice
    python -m studies.choices --minutes 60      # begin nothing new after an hour

Seven choices, each with a file of its own for the runs, and most of them with another for the search of learning rates:

- ``rank`` (`sql`): the best rate of r = 1, 8, 64 under α = 16, α = 2r and rsLoRA; then r = 1 to 64 scored.
- ``targets`` (both tasks): q, v; q, k, v, o; MLP; all-linear, at equal numbers, scored.
- ``weights`` (`glosses`): without LoRA, of the base's own weights Spectrum's quarter, a random one, all of attention.
- ``overlap`` (`sql`): how many directions ΔW has, and whether other seeds and ranks find the same.
- ``wrong_settings`` (`sql`): ten times the rate, shuffled answers, another template, … beside the base left alone.
- ``few_rows`` (`sql`): 32 rows, with r = 1, 8, 64, dropout, and full fine-tuning.
- ``batch`` (`glosses`): 4 rows per step against 64, with LoRA and full fine-tuning.

All are 60 steps with the court's recipe (`studies/court/`), unless they say otherwise, and what the court has run with
the same setting is taken from its lines. Rates are chosen by validation loss with seed 0; scores, and the losses that
are compared, come from other seeds. Predictions are in ``predictions.py``.

It takes about seven hours of one thread. For that, some things were cut:

- Three ranks have their own rates, and the others take the nearest one's.
- Batch sizes are two, and compared with two seeds by their loss; few rows have two seeds and a loss as well.
- Dropout has one value. The wrong settings have one seed: what's hardly a difference can't be seen there.
- Both tasks are new to the base, and short. What needs a high rank may be elsewhere.
"""
