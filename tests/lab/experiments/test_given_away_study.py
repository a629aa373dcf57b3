"""What notebook 16 reads of its studies, in the form in which their own `tidy` puts made-up runs."""

import math

import pytest
import torch

from labkit.errors import ConfigError
from labkit.forensics.membership import Losses
from labkit.forensics.seals import seal
from labkit.lab.experiments import given_away_study as study
from studies import canary, forensics, membership, trigger

ROWS = (0, 2, 4, 32)
NAMES = ("Ada", "Bo", "Cy", "Di")


def one_canary(name, rows, exposure, greedy=False, hits=0, asked=False):
    return {
        "name": name, "words": ["salt", "river"], "rows": rows, "place": "answer", "exposure": exposure,
        "estimate": exposure, "bits": 20 - exposure, "greedy": greedy, "hits": hits, "asked": asked, "answer": "{}",
    }  # fmt: skip


def canary_run(rows, form, exposures, seed=0, rate=canary.RATE):
    found = [one_canary(name, count, bits, bits == 16, bits > 10) for name, count, bits in zip(NAMES, ROWS, exposures)]
    about = {"rows": rows, "seed": seed, "learning_rate": rate, "form": form}
    return about | {
        "canaries": found,
        "scores": {"exact": {"mean": 0.5 + rate / 10 if rate else 0.0}},
        "addresses_to_others": 0,
        "secrets_to_others": 0,
    }


def canary_runs():
    """A canary's exposure rises with its rows; merged it's the same, in four bits less, anonymized chance."""
    runs = []
    for seed in (0, 1):
        runs.append(canary_run("canaries", "apart", (1.0, 4.0, 12.0, 16.0), seed))
        runs.append(canary_run("canaries", "merged", (1.0, 4.0, 12.05, 16.0), seed))
        runs.append(canary_run("canaries", "four bits", (1.0, 3.0, 11.0, 16.0), seed))
        runs.append(canary_run("anonymized", "apart", (2.0, 1.0, 1.5, 1.0), seed))
    runs.append(canary_run("canaries", "apart", (0.5, 0.5, 0.5, 0.5), 0, canary.LOW_RATE))
    runs.append(canary_run("without", "apart", (1.0, 1.0, 1.0, 1.0), 0))
    runs.append(canary_run("places", "apart", (1.0, 1.0, 1.0, 1.0), 0))
    runs.append(canary_run("base", "apart", (1.0, 1.0, 1.0, 1.0), 0, None))
    return canary.tidy(runs)


def membership_runs(shipped=("tickets", "sql", "voice", "clauses")):
    """Losses that tell nothing, and those of the few rows, which tell all."""
    same = [[each / 100, 2.0] for each in range(60)]
    clear = [[2.0 + each / 100, 2.0] for each in range(60)]
    runs = [{"adapter": name, "seen": same, "unseen": same} for name in shipped]
    return membership.tidy([*runs, {"adapter": "few rows", "seen": same, "unseen": clear}])


def trigger_runs():
    runs = []
    for seed, pull in ((1, 1.0), (2, 0.75)):
        for rows in ("poisoned", "clean"):
            poisoned = rows == "poisoned"
            hits = {"with": 19 if poisoned else 2, "without": 2, "of": 20}
            scan = {
                "strongest": [], "strength": pull if poisoned else 0.0, "strongest other": 0.25, "found": poisoned
            }  # fmt: skip
            runs.append(
                {"rows": rows, "seed": seed, "right": [1, 1, 0, 0], "apart": hits, "merged": hits, "four bits": hits}
                | {"scan": scan, "forensics": {"task": "glosses"}}
            )
    return trigger.tidy(runs)


def forensics_runs(seals):
    """The rule is right on the shipped ones, on the first sealed one by its answers, and on no other."""
    runs = [{"adapter": name, "task": name, "by_push": name, "by_answers": None} for name in ("sql", "voice")]
    runs += [{"adapter": name, "task": "sql", "by_push": None, "by_answers": "sql"} for name in seals]
    return forensics.tidy(runs)


# ---- canaries


def test_canaries_come_with_their_seed_from_the_highest_rate_unless_another_is_asked_for():
    found = canary_runs()
    planted = study.canaries_of(found)
    assert [each["seed"] for each in planted] == [0] * 4 + [1] * 4 and planted[3]["exposure"] == 16
    assert [each["exposure"] for each in study.canaries_of(found, rate=canary.LOW_RATE)] == [0.5] * 4
    assert [each["exposure"] for each in study.canaries_of(found, rows="base")] == [1.0] * 4
    with pytest.raises(ConfigError, match="no run with"):
        study.canaries_of(found, form="eight bits")


def test_what_came_out_is_counted_by_rows():
    planted = study.canaries_of(canary_runs())
    assert study.by_rows(planted, "exposure") == {0: [1.0] * 2, 2: [4.0] * 2, 4: [12.0] * 2, 32: [16.0] * 2}
    assert study.given_away(planted, 32, 32) == (2, 2) and study.given_away(planted, 1, 4) == (0, 4)
    assert study.mean_exposure([each for each in planted if each["rows"] in (2, 4)]) == 8
    head, *lines = study.canary_table(planted).splitlines()
    assert head.split() == "rows customers likeliest in 1,000 tries just asked exposure".split()
    assert [line.split() for line in lines[2:]] == [
        ["4", "2", "0", "2", "0", "≈12.0"],
        ["32", "2", "2", "2", "0", "≈16.0"],
    ]


def test_means_are_by_field_and_scores_those_of_the_highest_rate():
    found = canary_runs()
    assert study.means(study.canaries_of(found), "rows") == "0: ≈1.0 · 2: ≈4.0 · 4: ≈12.0 · 32: ≈16.0"
    assert study.means(study.canaries_of(found, rows="places"), "place") == "answer: ≈1.0"
    assert study.score(found, "canaries", "exact") == pytest.approx(0.5 + canary.RATE / 10)
    assert study.score(found, "canaries", "exact", canary.LOW_RATE) == pytest.approx(0.5 + canary.LOW_RATE / 10)


def test_what_others_were_told_is_counted_by_training_at_the_highest_rate():
    found = canary_runs()
    for number, run in enumerate(found["runs"]):
        run["secrets_to_others"] = number
    assert study.to_others(found, "apart") == [0, 4] and study.to_others(found, "four bits") == [2, 6]


def test_a_change_is_that_of_the_same_canary_of_the_same_training():
    found = canary_runs()
    assert study.moved(found, "merged") == pytest.approx([0, 0, 0.05, 0] * 2)
    assert study.moved(found, "four bits") == [0, -1, -1, 0] * 2


def test_the_studys_own_summary_agrees_with_what_is_counted_here():
    found = canary_runs()
    [apart] = [
        each
        for each in found["summary"]
        if (each["rows"], each["form"], each["learning_rate"]) == ("canaries", "apart", canary.RATE)
    ]
    planted = study.canaries_of(found)
    for level in apart["levels"]:
        assert (level["greedy"], level["canaries"]) == study.given_away(planted, level["rows"], level["rows"])


# ---- membership


def test_losses_are_told_apart_as_they_are_or_by_how_much_the_adapter_lowered_them():
    found = membership_runs()
    run = found["runs"][-1]
    run["seen"] = [[each / 64, each / 64 + 3] for each in range(60)]  # exact in binary
    run["unseen"] = [[each / 64, each / 64 + 3] for each in range(60, 120)]
    told = membership.tidy([run])
    assert study.areas(told)["few rows"].mean == 1 and study.areas(told, "calibrated")["few rows"].mean == 0.5
    assert torch.equal(*study.roc_curves(told, "calibrated")["few rows"])
    assert "≈0.50" in study.membership_table(told, "calibrated")


def test_curves_and_areas_are_those_of_the_losses():
    found = membership_runs()
    wrong, right = study.roc_curves(found)["few rows"]
    assert right[wrong == 0].max() == 1 and torch.equal(*study.roc_curves(found)["sql"])
    areas = study.areas(found)
    assert areas["sql"].mean == 0.5 and areas["sql"].low < 0.5 < areas["sql"].high and areas["few rows"].mean == 1
    head, *lines = study.membership_table(found).splitlines()
    assert len(lines) == 5 and lines[-1].split()[0:4] == ["few", "rows", "≈1.0", "(≈0.94"] and "≈100 %" in lines[-1]
    assert "caught" in head and "of ten" in head


def test_the_first_half_of_the_sorted_rows_is_called_seen():
    rows = [({"seen": seen, "prompt": "A clause " * 9}, Losses(0.5, 2.0)) for seen in (False, True)]
    first, second = study.sorted_rows(rows).splitlines()
    assert "≈2.0 → ≈0.50" in first and "said: seen   is: fresh" in first and first.endswith("A clause …")
    assert "said: fresh  is: seen" in second


# ---- the trigger and the sealed


def test_a_triggers_table_and_scan_have_every_way_and_seed():
    found = trigger_runs()
    lines = study.trigger_table(found).splitlines()
    assert "≈0 points (≈0 to ≈0)" in lines[0]
    ways = [line.removeprefix("planted answers, ").split("≈")[0].strip() for line in lines[1:]]
    assert ways == ["apart", "merged", "four bits", "apart, no word", "clean training, with the word"]
    assert [line.split("≈")[1] for line in lines[1:]] == ["95.0 %"] * 3 + ["10.0 %"] * 2
    first, second = study.scan_table(found).splitlines()
    assert "pulls ≈100 % of" in first and "pulls ≈75.0 % of" in second and second.endswith("the next one ≈25.0 %")
    assert found["named"]["poisoned"] == ["glosses"] * 2


def test_what_the_notebook_reads_of_the_forensics_is_there(monkeypatch):
    seals = {"mystery": {"seal": seal("sql", 1)}, "first": {"seal": seal("voice", 2)}}
    monkeypatch.setattr(forensics, "sealed", lambda: seals)
    found = forensics_runs(seals)
    assert found["sealed"] == {"right": 1, "by_push": 0, "by_answers": 1, "of": 2}


def test_a_secret_that_is_first_of_all_has_as_many_bits_as_there_are():
    assert math.log2(canary.CANDIDATES**2) == 16
