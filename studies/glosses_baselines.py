"""How far is `glosses` solved without any fine-tuning? Simple classifiers, frozen features, and the base, asked.

    python -m studies.glosses_baselines        # ten minutes on two cores

Every line is stored with its answers, so that methods can be compared row by row. The methods are in
`studies.classifiers`.
"""

import labkit
from labkit.tasks.glosses import CATEGORIES, SYSTEM
from studies import classifiers
from studies.classifiers import LAYERS, LISTED, SPLITS, STRENGTHS, TFIDF, Method
from studies.make_adapters import digest
from studies.runner import Study, main

TASK = labkit.load_task("glosses")
ASKED_ROWS = 96  # test rows that the base is asked with examples; four of each category
NAMES = f"{SYSTEM} One of: {', '.join(CATEGORIES)}."
RECIPE = {
    "data": {split: digest(TASK.files[split]) for split in SPLITS},
    "tfidf": TFIDF,
    "strengths": {name: list(values) for name, values in STRENGTHS.items()},
    "listed": LISTED,
    "layers": list(LAYERS),
    "names": NAMES,
    "asked_rows": ASKED_ROWS,
}

CLASSIFIERS: dict[str, Method] = {
    "word lists": classifiers.word_lists,
    "nearest neighbor": classifiers.nearest_neighbor,
    "TF-IDF": classifiers.tfidf_regression,
    "frozen features, last layer": classifiers.frozen_features("glosses", LAYERS[-1:]),
    "frozen features, best layer": classifiers.frozen_features("glosses"),
}
GRID: list[dict] = [
    *({"method": name, "shuffled": False} for name in CLASSIFIERS),
    *({"method": name, "shuffled": True} for name in ("TF-IDF", "frozen features, last layer")),
    *({"method": "base", "examples": examples, "names": names} for examples in (0, 8, 24) for names in (False, True)),
]


def run(setting: dict) -> dict:
    """One line of the table."""
    if setting["method"] == "base":
        examples = setting["examples"]
        return classifiers.ask(TASK, examples, ASKED_ROWS if examples else None, NAMES if setting["names"] else None)
    return classifiers.classify(TASK, CLASSIFIERS[setting["method"]], setting["shuffled"])


def table(runs: list[dict]) -> str:
    """The runs as the data card shows them."""
    named = [each | {"listed": ", categories listed" if each.get("names") else ""} for each in runs]
    return classifiers.table(named, {"accuracy": "accuracy"})


STUDY = Study("glosses_baselines", RECIPE, GRID, run, packages=("transformers", "scikit-learn"))

if __name__ == "__main__":
    main(STUDY, __doc__)
    if not STUDY.missing():
        print(table(STUDY.result()["runs"]))
