"""How far are `genus`, `changelog` and `diacritics` solved without any fine-tuning? Rules, classifiers, the base.

    python -m studies.task_baselines genus             # a minute, and ten more for the base; or changelog, diacritics
    python -m studies.task_baselines genus --runs 3    # its first three, which need no model

Every line is stored with its answers, so that methods can be compared row by row. `studies.classifiers` and
`studies.rules` have the methods.
"""

from functools import partial

import labkit
from labkit.tasks.changelog import SECTIONS
from studies import classifiers, rules
from studies.classifiers import LAYERS, SPLITS, TFIDF, Method
from studies.make_adapters import digest
from studies.runner import Study, follow, options

ASKED_ROWS = 96  # test rows that the base is asked with examples
METHODS: dict[str, dict[str, Method]] = {
    "genus": {
        "the word before of, that, with, …": rules.rule(passing=False),
        "the same, past any of, a form of, …": rules.rule(passing=True),
        "words in context": rules.words_in_context,
    },
    "changelog": {
        "the commonest section": classifiers.majority,
        "nearest neighbor": classifiers.nearest_neighbor,
        "TF-IDF": classifiers.tfidf_regression,
        "TF-IDF, every section alike": partial(classifiers.tfidf_regression, class_weight="balanced"),
        "frozen features, last layer": classifiers.frozen_features("changelog", LAYERS[-1:]),
        "frozen features, best layer": classifiers.frozen_features("changelog"),
    },
    "diacritics": {"look-up table": rules.look_up, "letters in context": rules.letters_in_context},
}
SHUFFLED = {"changelog": ("TF-IDF", "frozen features, last layer")}
METRICS = {
    "genus": {"accuracy": "accuracy"},
    "changelog": {"accuracy": "accuracy", "macro_f1": "macro F1"},
    "diacritics": {"exact": "strings right", "words": "words right"},
}
# a system prompt that lists the answers there are, where they can be listed
LISTED = {"changelog": f"{labkit.load_task('changelog').system} One of: {', '.join(SECTIONS)}."}
EXAMPLES = {"genus": (0, 8), "changelog": (0, 8, 24), "diacritics": (0, 8)}


def grid(name: str) -> list[dict]:
    """The settings for a task, those that need no model first."""
    settings = [{"method": method, "shuffled": False} for method in METHODS[name]]
    settings += [{"method": method, "shuffled": True} for method in SHUFFLED.get(name, ())]
    settings.sort(key=lambda setting: setting["method"].startswith("frozen"))
    lists = (False, True) if name in LISTED else (False,)
    return settings + [
        {"method": "base", "examples": number, "names": names} for number in EXAMPLES[name] for names in lists
    ]


def run(name: str, setting: dict) -> dict:
    """One line of a task's table."""
    task = labkit.load_task(name)
    if setting["method"] == "base":
        examples = setting["examples"]
        return classifiers.ask(
            task, examples, ASKED_ROWS if examples else None, LISTED[name] if setting["names"] else None
        )
    return classifiers.classify(task, METHODS[name][setting["method"]], setting["shuffled"])


def study(name: str) -> Study:
    """The study of a task."""
    files = labkit.load_task(name).files
    recipe = {
        "data": {split: digest(files[split]) for split in SPLITS},
        "tfidf": TFIDF,
        "strengths": {each: list(values) for each, values in classifiers.STRENGTHS.items()}
        | {"rules": list(rules.STRENGTHS)},
        "listed": classifiers.LISTED,
        "layers": list(LAYERS),
        "names": LISTED.get(name),
        "asked_rows": ASKED_ROWS,
        "reach": rules.REACH,
    }
    return Study(f"{name}_baselines", recipe, grid(name), partial(run, name), packages=("transformers", "scikit-learn"))


def table(name: str, runs: list[dict]) -> str:
    """The runs as the task's data card shows them."""
    named = [each | {"listed": ", sections listed" if each.get("names") else ""} for each in runs]
    return classifiers.table(named, METRICS[name])


STUDIES = tuple(map(study, METHODS))

if __name__ == "__main__":
    parser = options(description=__doc__.splitlines()[0])
    parser.add_argument("task", choices=METHODS)
    chosen = parser.parse_args()
    asked = study(chosen.task)
    follow(asked, chosen)
    lines = asked.finished()
    print(table(chosen.task, [line["setting"] | line["result"] for line in lines.values()]))
