"""How far is a task of real text solved without any fine-tuning? Rules, classifiers, frozen features, the base, asked.

    python -m studies.task_baselines glosses             # or genus, changelog, diacritics; prints the card's table
    python -m studies.task_baselines genus --runs 3      # its first three, which need no model
    python -m studies.task_baselines genus --list        # only what is missing

Each task is a study of its own, with lines and a result called ``<task>_baselines``. Every line is stored with its
answers, so that methods can be compared row by row, with each other and with a fine-tuned model.

A *method* goes from the training rows, the validation rows and the test prompts to answers (``classifiers.Method``).
What there is to choose (how strongly to regularize, which layer) is chosen on the validation rows. With its training
labels shuffled, a method knows nothing: what it still gets right is chance, or a leak. Which methods a task has, and
what its base is asked with, is in ``tables.py``.
"""
