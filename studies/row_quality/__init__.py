"""Which rows? Wrong labels, copies, rare categories, rows from a template, and test rows among them. For notebook 06.

    python -m studies.row_quality                   # all that is missing; stop and go on as you like
    python -m studies.row_quality --minutes 60      # begin nothing new after an hour

Every case is a file of 240 lines of `glosses` (`cases.py`), learned by LoRA in 60 steps of 8 with three seeds, and by
TF-IDF, the nearest neighbor and frozen features. The clean file is that of `studies.data_size`, and its runs are taken
from there; so is the learning rate. A seed draws the rows, what's done to them, and how training begins.

It takes about 65 minutes of one thread: 23 trainings of LoRA, two minutes each, and their scoring. For that, some
things were cut:

- Wrong labels are drawn from all other categories alike. People err between neighbors, which may harm more or less.
- The rate is the clean file's for every case. A team with a bad file would have tuned on the bad file.
- Shuffled labels and the template alone have one seed: the one is a control, the other far from everything.
- No remedy is tried: no copies of rare rows, no cleaning of labels.

Predictions are in ``predictions.py``.
"""
