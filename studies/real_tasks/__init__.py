"""What fine-tuning gives on the tasks of real text, beside what simple methods get. For notebook 06.

    python -m studies.real_tasks                   # all that is missing, in this order; stop and go on as you like
    python -m studies.real_tasks --stage rates     # one stage
    python -m studies.real_tasks --minutes 60      # begin nothing new after an hour

Three stages, each a study with lines and a result of its own:

- ``rates``: three learning rates for each method and task, judged by the loss on the validation rows, with one seed:
  after 60 steps on `glosses`, where the court lends LoRA's and full fine-tuning's, and after 30 elsewhere. Where the
  best lies at an end of its grid, the grid grows there, twice at most.
- ``final``: three other seeds at the best rate, with all test rows answered: LoRA after 150 steps on all four tasks; on
  `glosses` and `changelog` also after 60, beside QLoRA and full fine-tuning; these two have one seed on `changelog`.
  Last, a control for both: LoRA with the training answers shuffled, which should know nothing. Verdicts are
  against the lines of `studies.task_baselines`, so those come first; and where the court has made the same run, it
  lends it.
- ``seconds``: how long a step takes, each method in a process of its own. Run it when nothing else is running.

What comes out was predicted before, in ``predictions.py``.

On one thread of a CPU with AVX2 it takes under four hours: rates fifty minutes (24 runs, of which the court lends 6,
and 1 or 2 more for each grid that grows), final two hours and three quarters (28 runs, of which the court lends 6),
seconds five minutes. A step takes 2.5 seconds on `glosses` and 4 on `changelog`. For that, some things were cut:

- Rates are judged by one seed, after few steps, and what trains for 150 takes the same rate.
- QLoRA and full fine-tuning train for 60 steps only, and are compared with LoRA after as many.
- LoRA has the same rank, α and layers everywhere.
"""
