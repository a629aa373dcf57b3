import random
import re
from collections import Counter

import pytest

from labkit import ConfigError, load_task
from labkit.tasks.clauses import kept_for_test, labels_of, macro_f1, make_row, summary
from labkit.tasks.clauses_parts import CATEGORIES, RISKS

CLAUSES = load_task("clauses")
ROW = {"prompt": "…", "completion": "liability | without any limit | high"}
SPLITS = ("train", "validation", "test")

# ---- the oracle: the labels worked out a second time, from the words of the clause

OPENERS_SEEN = re.compile(
    r"^(Unless agreed otherwise in writing|Subject to clause [\d.]+|Notwithstanding clause [\d.]+"
    r"|For the avoidance of doubt|As from the date of signature), "
)
CATEGORY = {
    "data": "personal|users|persons",
    "confidentiality": "secret|confidential",
    "property": "copyright|software|designs|inventions|ownership",
    "payment": r"\bpay|\bpaid|bills|fees",
    "termination": "terminate|end the contract|withdraw|cancelled|an end",
    "liability": "liable|losses|harm|damages|what it breaks",
}
# what is limited in amount, in time or to a purpose
LIMITED = re.compile(
    "EUR|fair limits|until|except where|at most|days. notice|warning|consent|together|purpose of this contract"
)


# where the terms begin: nothing before them has these words
TERMS = re.compile(
    r"(without any|without notice|forever|for any reason|in full|at any time|at once|as it sees|even against|up to"
    r"|within fair|until the|except where|for \d+ days|on \d+ days|after a written|only|together).*$"
)


def labels_in(clause: str) -> tuple[str, str, str]:
    """What a careful reader with the house's rule notes."""
    sentence = re.match(r"(.+?)\.( |$)", OPENERS_SEEN.sub("", clause))[1]
    category = next(category for category in CATEGORY if re.search(CATEGORY[category], sentence, re.I))
    terms = TERMS.search(sentence)[0]
    return category, terms, "low" if LIMITED.search(terms) else "high"


@pytest.mark.parametrize("split", SPLITS)
def test_stored_labels_follow_from_the_clauses(split):
    for row in CLAUSES.rows(split):
        assert labels_of(row["completion"]) == labels_in(row["prompt"]), row["prompt"]


@pytest.mark.parametrize("split", SPLITS)
def test_labels_are_about_as_frequent_as_each_other(split):
    labels = [labels_of(row["completion"]) for row in CLAUSES.rows(split)]
    counted = Counter(category for category, _, _ in labels)
    assert set(counted) == set(CATEGORIES) and min(counted.values()) > 0.08 * len(labels)
    assert 0.35 < sum(risk == "high" for _, _, risk in labels) / len(labels) < 0.65


def joined_in(clause: str) -> tuple[int, int]:
    """Which act of its category is joined with which terms."""
    category, _, risk = labels_in(clause)
    acts, terms = CATEGORIES[category].acts, getattr(CATEGORIES[category], risk)
    patterns = [re.sub(r"\\{\w+\\}", "[\\\\w ,]+", re.escape(text)) for text in (*acts, *terms)]
    (act, chosen) = [i for i, pattern in enumerate(patterns) if re.search(pattern, clause, re.I)]
    return act, chosen - len(acts)


def test_half_of_the_test_clauses_join_what_no_training_clause_joins():
    for split in ("train", "validation"):
        assert not any(kept_for_test(*joined_in(row["prompt"])) for row in CLAUSES.rows(split))
    asked = [kept_for_test(*joined_in(row["prompt"])) for row in CLAUSES.rows("test")]
    assert 0.35 < sum(asked) / len(asked) < 0.65


def test_every_act_and_all_terms_occur_in_training():
    """What never occurred could not be learned."""
    seen = {(*labels_in(row["prompt"])[::2], *joined_in(row["prompt"])) for row in CLAUSES.rows("train")}
    assert {(category, act) for category, _, act, _ in seen} == {(c, act) for c in CATEGORIES for act in range(5)}
    assert {(category, risk, terms) for category, risk, _, terms in seen} == {
        (c, risk, terms) for c in CATEGORIES for risk in RISKS for terms in range(5)
    }


def test_no_single_word_gives_a_label_away():
    """The best rule of the kind "if the word stands there …", chosen with the answers in view, stays well short."""
    rows = list(CLAUSES.rows("train"))
    words = [set(re.findall(r"\w+", row["prompt"].lower())) for row in rows]
    for place, most in ((0, 0.4), (2, 0.8)):
        labels = [labels_of(row["completion"])[place] for row in rows]
        best = 0
        for word in set().union(*words):
            sides = [[label for label, said in zip(labels, words) if (word in said) is side] for side in (True, False)]
            best = max(best, sum(max(Counter(side).values()) for side in sides if side))
        assert best / len(rows) < most


# ---- score


@pytest.mark.parametrize(
    ("answer", "category", "terms", "risk"),
    [
        ("liability | without any limit | high", 1, 1, 1),
        (" liability|without any limit |high\n", 1, 1, 1),
        ("liability | without any limit | low", 1, 1, 0),
        ("liability | without limit | high", 1, 0, 1),
        ("data | without any limit | high", 0, 1, 1),
        ("Liability | Without any limit | HIGH", 0, 0, 0),
        ("liability | high", 0, 0, 0),
        ("liability | without any limit | high | low", 0, 0, 0),
        ("liability | without any limit | high, I think", 1, 1, 0),
        ("liability | without any limit | high\nliability | up to EUR 5,000 | low", 0, 0, 0),
        ("The clause does not limit the liability of the Supplier, so the risk is high.", 0, 0, 0),
        ("liability, termination | without any limit | high", 0, 1, 1),
        ("| |", 0, 0, 0),
        ("", 0, 0, 0),
    ],
)
def test_score(answer, category, terms, risk):
    expected = {"accuracy": category * risk, "category": category, "terms": terms, "risk": risk}
    assert CLAUSES.score(answer, ROW) == expected


def test_macro_f1_counts_a_rare_label_as_much_as_a_frequent_one():
    """Worked out by hand: nine of ten are right, but the rare label is never found."""
    wanted = ["high"] * 9 + ["low"]
    assert macro_f1(["high"] * 10, wanted) == pytest.approx((2 * 9 / (10 + 9) + 0) / 2)
    assert macro_f1(wanted, wanted) == 1.0
    assert macro_f1(["?"] * 10, wanted) == 0.0
    # precision 1/2 and recall 1 for a, precision 1 and recall 1/2 for b
    assert macro_f1(["a", "a", "b"], ["a", "b", "b"]) == pytest.approx(2 / 3)


def test_summary_is_macro_f1_of_category_and_of_risk():
    rows = [{"completion": f"{category} | forever | {risk}"} for category in CATEGORIES for risk in ("high", "low")]
    right = [row["completion"] for row in rows]
    assert summary(right, rows) == {"category_f1": 1.0, "risk_f1": 1.0}
    always = summary(["payment | forever | low"] * len(rows), rows)
    assert always["category_f1"] == pytest.approx(2 * 2 / (12 + 2) / 6)
    assert always["risk_f1"] == pytest.approx(2 * 6 / (12 + 6) / 2)
    assert summary(["no idea"] * len(rows), rows) == {"category_f1": 0.0, "risk_f1": 0.0}


@pytest.mark.parametrize(("given", "wanted"), [([], []), (["a"], ["a", "b"])])
def test_macro_f1_of_nothing_is_refused(given, wanted):
    with pytest.raises(ConfigError, match="cannot be compared"):
        macro_f1(given, wanted)


@pytest.mark.parametrize("seed", range(20))
def test_a_generated_row_is_right_for_itself(seed):
    draw = random.Random(seed)
    row = make_row(draw, new=seed % 2 == 1)
    assert set(CLAUSES.score(row["completion"], row).values()) == {1.0}
    assert labels_of(row["completion"]) == labels_in(row["prompt"])
