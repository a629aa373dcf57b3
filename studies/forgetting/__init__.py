"""What a narrow training forgets, and what helps: replay, KL, a lower rate, half an adapter, a switch. For notebook 06.

    python -m studies.forgetting                     # all that is missing; stop and go on as you like
    python -m studies.forgetting --stage remedies    # one stage
    python -m studies.forgetting --minutes 60        # begin nothing new after an hour

LoRA is trained on `sql` or `glosses` as the court trains it (``studies/court/``: 60 steps at its best rate). Then it's
asked two things besides the task: other text, by its perplexity, and 48 everyday questions, once with a neutral system
prompt and once with the task's own. Of the answers to these it's counted how many are right, and how many are in the
task's form (:mod:`labkit.lab.experiments.everyday`). Three stages:

- ``remedies``: with nothing done about it; with 5 % of other rows replayed (the base's own answers to other everyday
  requests, ``other_rows.py``); with the KL to the silenced adapter on the same rows, in the place of their answers; at
  a third of the rate; with half of the adapter, after training. All see the same rows of the task, with three seeds.
  And a switch that looks at a message's words and silences the adapter for what seems foreign: its answers are those of
  the adapter and of the base, so it needs no run.
- ``sequence``: `sql`, then `glosses` with the same adapter, with and without 5 % of rows of `sql`. Against that, an
  adapter for each: those of ``remedies``.
- ``cost``: what a step takes with the KL and without, in seconds and memory.

What comes out was predicted before, in ``predictions.py``. It takes about 120 minutes of one thread. For that, some
things were cut:

- Of the test rows, 128 of `sql` and 168 of `glosses` are scored: the first ones, as balanced as the whole.
- Replay and KL have one dose: 12 rows with `sql`, 24 with `glosses`, each seen once. There's one lower rate, and one
  smaller scale. 5 % is of the rows: the base's answers are longer than a query, and much longer than a category, so
  they're more of what the loss counts (``labels`` in the results says how much). In a replay they're a part of a
  step's mean loss; the KL is a mean of its own, added to the task's.
- The sequence has one order and two seeds, and what it forgets is the first task: nothing else is asked there.
- The base isn't scored on the tasks: as it comes it answers no row of either (``adapters_table``,
  ``glosses_baselines``). So a row that the switch silences counts as wrong.
"""
