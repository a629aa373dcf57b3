"""What notebook 06 reads of the study of forgetting, in the form that its own `tidy` makes."""

import json
import math

import pytest

from labkit.evaluation.scoring import Score
from labkit.lab.experiments import forgetting_study as forgetting
from labkit.lab.experiments.everyday import EVERYDAY
from studies.court import training
from studies.forgetting import remedies, sequence

QUESTIONS = len(EVERYDAY.rows("test"))
RIGHT = [row["completion"].split(" | ")[0] for row in EVERYDAY.rows("test")]


def run(task: str, remedy: str, seed: int | None) -> dict:
    """The base and the KL answer every question, the others none; half the adapter has no row right, the others 64."""
    own = {"sql": "SELECT a FROM b", "glosses": "animal"}[task]
    answers = RIGHT if remedy in ("base", "KL") else [own] * QUESTIONS
    found = {"task": task, "remedy": remedy, "seed": seed, "learning_rate": 1e-3}
    found |= {
        "perplexity": math.exp(2 + (remedy not in ("base", "KL"))),
        "everyday": dict.fromkeys(remedies.SYSTEMS, answers),
    }
    right = 0 if remedy == "half" else 64
    return found | ({} if remedy == "base" else {"rows": 128, "wrong": [{"row": row} for row in range(right, 128)]})


@pytest.fixture
def study():
    runs = [run(task, "base", None) for task in training.TASKS]
    runs += [run(task, remedy, seed) for task in training.TASKS for remedy in remedies.REMEDIES for seed in (1, 2, 3)]
    return json.loads(json.dumps(remedies.tidy(runs)))


def test_every_remedy_of_the_study_has_a_name():
    assert list(forgetting.REMEDIES) == [*remedies.REMEDIES, remedies.SWITCH] and remedies.BASE == forgetting.BASE


def test_a_bargain_is_the_tasks_score_and_the_everyday_answers(study):
    found = forgetting.bargain(study, "sql")
    assert list(found) == list(forgetting.REMEDIES.values())
    assert [each.mean for each in found["KL to the base"]] == [50, 100]
    assert [each.mean for each in found["half the adapter"]] == [0, 0]
    assert found["nothing done"][0].low < 50 < found["nothing done"][0].high
    assert forgetting.kept(study, "sql", "nothing", measure="not in the task's form").mean == 0
    assert isinstance(forgetting.kept(study, "glosses", "base", system="the task's"), Score)


def test_the_table_has_the_base_and_every_remedy(study):
    lines = forgetting.remedy_table(study, "glosses").splitlines()
    assert len(lines) == 2 + len(forgetting.REMEDIES)
    by_name = {line[:20].strip(): line[20:].split() for line in lines[1:]}
    assert by_name["the base"] == "– ≈100 % ≈100 % –".split()
    assert by_name["nothing done"] == "≈50.0 % ≈0 % ≈0 % ≈1.0".split()
    assert by_name["half the adapter"][2] == "worse" and by_name["KL to the base"][-1] == "≈0"
    assert forgetting.worst_verdicts(study, "half") == ["worse", "worse"]


def test_a_sequence_is_compared_with_an_adapter_for_each(monkeypatch):
    table = []
    for task, way, mean, verdict in [
        ("sql", "an adapter for each", 0.9, "can't tell"),
        ("sql", sequence.WAYS[0], 0.1, "worse"),
        ("sql", sequence.WAYS[1], 0.85, "can't tell"),
    ]:
        table.append({"task": task, "way": way, "score": {"mean": mean, "verdict": verdict}})
    found = {"table": table}
    assert forgetting.sequence_score(found, "sql", sequence.WAYS[0]) == 0.1
    assert [line.split()[-1] for line in forgetting.sequence_table(found).splitlines()] == ["%", "worse", "tell"]


def test_the_kls_cost_is_a_ratio():
    runs = [
        {"way": "alone", "seconds_per_step": 2.0, "peak_bytes": 100},
        {"way": "with the KL", "seconds_per_step": 3.0, "peak_bytes": 110},
    ]
    assert forgetting.cost_ratio({"runs": runs}) == (1.5, 1.1)
