"""How many rows: where curves cross, which runs are asked for, and a tiny run of each kind."""

import json
import math

import numpy as np
import pytest
import torch
from conftest import make_tiny_llama, make_tiny_tokenizer
from hypothesis import given
from hypothesis import strategies as st

import labkit
from labkit import Task
from labkit.step.batch import encode
from studies import runner
from studies.choices.searching import NotYet
from studies.court import rates as court_rates
from studies.court import training
from studies.data_size import __main__ as command
from studies.data_size import crossing as crossing_module
from studies.data_size import curves, lora, predictions, rates, rivals
from studies.data_size.crossing import crossing

ABOUT = {"date": "2026-11-29", "machine": "a laptop", "versions": {"torch": "2.13"}}
EVER = math.inf
SIZES = (8, 24, 72, 240, 600, 1344)


# ---- where two curves cross


def lines(zero: float, slope: float = 0.1, seeds: int = 3, rows: int = 40, sizes=SIZES) -> torch.Tensor:
    """Differences that are the same on every row: a line over the logarithm of the size, zero at `zero`."""
    means = torch.tensor([slope * math.log(size / zero) for size in sizes], dtype=torch.float64)
    return means[:, None, None].expand(-1, seeds, rows)


@given(st.floats(8.5, 1300))
def test_a_line_crosses_where_it_is_zero(zero):
    found = crossing(lines(zero), SIZES, resamples=5)
    assert (found.at, found.low, found.high) == pytest.approx((zero, zero, zero)) and found.is_told


def test_ahead_everywhere_or_nowhere_is_no_crossing():
    everywhere, nowhere = crossing(lines(1), SIZES, resamples=5), crossing(lines(2000), SIZES, resamples=5)
    assert (everywhere.at, everywhere.high, everywhere.is_told) == (0, 0, False)
    assert (nowhere.at, nowhere.low, nowhere.is_told) == (math.inf, math.inf, False)
    assert nowhere.as_json() == {"at": None, "low": None, "high": None, "is_told": False}
    assert everywhere.as_json() == {"at": 0, "low": 0, "high": 0, "is_told": False}


def test_being_ahead_in_between_does_not_count():
    """Ahead at 24, behind at 240, ahead from 600 on: it's the second time that counts."""
    means = torch.tensor([-0.1, 0.1, -0.1, -0.1, 0.1, 0.1], dtype=torch.float64)[:, None, None].expand(-1, 3, 9)
    assert crossing(means, SIZES, resamples=5).at == pytest.approx(math.sqrt(240 * 600))


def test_the_interval_has_the_crossing_about_as_often_as_it_says():
    """Rows are right or wrong by chance, around a line that crosses at 120; seeds differ in nothing but that."""
    draw, zero, held = np.random.default_rng(0), 120, 0
    for _ in range(60):
        shares = np.array([0.5 + 0.1 * math.log(size / zero) for size in SIZES]).clip(0, 1)
        ours = draw.random((6, 3, 200)) < shares[:, None, None]
        theirs = draw.random((6, 3, 200)) < 0.5
        found = crossing(torch.from_numpy(ours * 1.0 - theirs), SIZES, resamples=120)
        held += found.low <= zero <= found.high
    assert 50 <= held


def test_a_crossing_needs_what_fits():
    with pytest.raises(ValueError, match="6 sizes need"):
        crossing(torch.zeros(5, 3, 4), SIZES)
    with pytest.raises(ValueError, match="have to rise"):
        crossing(torch.zeros(2, 3, 4), (24, 8))


# ---- the grids


def test_the_sizes_are_of_the_task_and_balanced_where_they_can_be():
    assert max(lora.STEPS) == len(labkit.load_task("glosses").rows("train"))
    assert [size for size in lora.STEPS if size % 24] == [8]
    for seed in curves.SEEDS:
        rows = curves.rows_of("glosses", 240, seed)
        labels = [row["completion"] for row in rows]
        assert {labels.count(label) for label in set(labels)} == {10} and len(set(labels)) == 24
        assert rows[:24] == curves.rows_of("glosses", 24, seed)


def test_the_rows_looked_at_are_as_balanced_and_every_look_falls_on_a_step():
    labels = list(labkit.load_task("glosses").rows("validation")["completion"])[: lora.LOOK_ROWS]
    assert {labels.count(label) for label in labels} == {2}
    assert all(lora.STEPS[rows] % lora.LOOKS == 0 for rows in lora.LOOKED_AT)


def test_each_size_takes_a_rate_and_few_rows_wait_for_theirs(monkeypatch, tmp_path):
    monkeypatch.setattr(court_rates, "chosen", lambda folder: {("lora", "glosses"): 0.5})
    assert [rates.rate_of(rows, tmp_path) for rows in lora.STEPS] == [None] * 4 + [0.5] * 2
    found = {24: {1e-3: 0.9, 3e-3: 0.8, 1e-2: 0.85}, 240: {1e-3: 0.4, 3e-3: 0.5, 1e-2: 0.6, 3e-4: 0.7}}
    monkeypatch.setattr(rates, "losses", lambda folder: found)
    assert [rates.rate_of(rows, tmp_path) for rows in lora.STEPS] == [3e-3] * 3 + [1e-3] + [0.5] * 2


# ---- the stages, with runs that only pretend

RIGHT = {8: 10, 24: 60, 72: 120, 240: 180, 600: 220, 1344: 240}  # of 336, with LoRA


def pretended(setting: dict, task: str) -> dict:
    """LoRA as above; TF-IDF has half, the nearest neighbor a quarter, frozen features 150 at every size."""
    if setting["method"] == "LoRA" and setting["learning_rate"] is None:
        raise NotYet("no rate")
    asked = len(labkit.load_task(task).rows("test"))
    right = {"LoRA": RIGHT[setting["rows"]], rivals.WORDS: RIGHT[setting["rows"]] // 2, rivals.FROZEN: 150,
             rivals.NEIGHBOR: RIGHT[setting["rows"]] // 4}[setting["method"]]  # fmt: skip
    wrong = list(range(right, asked))
    found = {"rows_asked": asked, "wrong": wrong}
    if setting["method"] == "LoRA" and setting["rows"] in lora.LOOKED_AT:
        found["best"] = {"step": 6, "wrong": wrong[40:], "loss": 1.0}
    if setting["method"] == "LoRA" and (setting["rows"], setting["seed"]) == curves.BY_GENERATION:
        found["wrong_by_generation"] = wrong[1:]
    return found


@pytest.fixture
def pretending(monkeypatch, tmp_path):
    monkeypatch.setattr(runner, "provenance", lambda *_: ABOUT)
    monkeypatch.setattr(rates, "run", lambda each: {"wrong_share": abs(math.log10(each["learning_rate"] / 1e-3))})
    monkeypatch.setattr(curves, "run", pretended)
    monkeypatch.setattr(court_rates, "chosen", lambda folder: {("lora", "glosses"): 3e-3})
    monkeypatch.setattr(crossing_module.crossing, "__defaults__", (0.95, 50, 0))
    return tmp_path


def test_the_rates_come_first_and_what_is_read_off_is_what_was_put_in(pretending):
    with pytest.raises(NotYet):
        runner.go_on(command.STAGES["glosses"], EVER, EVER, pretending)
    for stage in ("rates", "glosses"):
        runner.go_on(command.STAGES[stage], EVER, EVER, pretending)
    assert not rates.study(pretending).missing() and not curves.study("glosses", pretending).missing()
    best = json.loads((pretending / "data_size_rates.json").read_text())["best"]
    assert [(each["rows"], each["learning_rate"], each["at_an_end"]) for each in best] == [
        (24, 1e-3, False),  # the grid has grown by 3e-4
        (240, 1e-3, False),
    ]
    found = json.loads((pretending / "data_size.json").read_text())
    points = {(each["method"], each["rows"]): each for each in found["points"]}
    assert len(points) == 24
    for rows, right in RIGHT.items():
        assert points["LoRA", rows]["mean"] == pytest.approx(right / 336)
        assert points["LoRA", rows]["by_seed"] == pytest.approx([right / 336] * 3)
        assert points["LoRA", rows]["low"] < right / 336 < points["LoRA", rows]["high"]
    against = {(each["other"], each["rows"]): each for each in found["against"]}
    assert {against[rivals.WORDS, rows]["verdict"] for rows in RIGHT} == {"better"}
    assert [against[rivals.FROZEN, rows]["verdict"] for rows in RIGHT] == ["worse"] * 3 + ["better"] * 3
    assert against[rivals.FROZEN, 240]["disagreement"] == pytest.approx(30 / 336, abs=1e-4)
    crossings = {each["other"]: each for each in found["crossings"]}
    assert crossings[rivals.WORDS]["at"] == 0 and not crossings[rivals.WORDS]["is_told"]
    assert crossings[rivals.FROZEN]["at"] == pytest.approx(math.sqrt(72 * 240)) and crossings[rivals.FROZEN]["is_told"]
    assert [(each["rows"], each["lowest_at"], each["verdict"]) for each in found["stopping"]] == [
        (24, [6] * 3, "better"),
        (72, [6] * 3, "better"),
    ]
    assert found["by_generation"] == {"rows": 240, "seed": 1, "asked": 336, "unlike": 1}
    assert found["commonest"]["score"] == pytest.approx(14 / 336)
    seconds = [setting for setting in curves.study("glosses", pretending).grid if setting["rows"] == 1344]
    assert [each["method"] for each in seconds].count(rivals.WORDS) == 1  # all rows are the same rows


def test_every_stage_has_predictions_that_are_older_than_its_runs():
    assert predictions.PREDICTIONS.keys() - {"stopping"} == {"rates", *curves.NAMES}
    for each in (each for several in predictions.PREDICTIONS.values() for each in several):
        assert each.question.endswith("?") and each.expected and len(each.why) > 30
    for stage in command.STAGES.values():
        assert all(predictions.DATE <= line["date"] for line in stage().finished().values())


# ---- tiny runs


@pytest.fixture
def tiny(monkeypatch, tmp_path, one_thread):
    """A tiny task with two answers, a tiny base, and few steps."""

    def task(name: str) -> Task:
        files = {}
        for split, count in {"train": 40, "validation": 12, "test": 20}.items():
            files[split] = tmp_path / f"{name}-{split}.jsonl"
            rows = [{"prompt": f"{split} {'xy'[i % 2] * 4} {i}", "completion": "ab"[i % 2]} for i in range(count)]
            files[split].write_text("".join(json.dumps(row) + "\n" for row in rows))
        score = lambda answer, row: {"accuracy": float(answer.strip() == row["completion"])}  # noqa: E731
        return Task(name, "Say it.", score, files, max_new_tokens=3)

    def base():
        return make_tiny_llama(max_position_embeddings=512), make_tiny_tokenizer()

    monkeypatch.setattr(training, "fresh_base", base)
    monkeypatch.setattr(labkit, "load_task", task, raising=False)
    monkeypatch.setattr(lora, "STEPS", {8: 6, 16: 8})
    monkeypatch.setattr(lora, "LOOKS", 2)
    monkeypatch.setattr(rivals, "KEPT", tmp_path / "kept")
    monkeypatch.setattr(rivals, "LAYERS", (1, 2))
    monkeypatch.setattr(f"{rivals.features.__module__}.LAYERS", (1, 2))


def some_rows(count: int) -> list[dict]:
    return list(labkit.load_task("glosses").rows("train"))[:count]


def test_looking_on_the_way_changes_no_step_and_the_last_weights_are_those_of_the_last_step(tiny):
    blind, looking = (lora.fitted(some_rows(8), 6, 3e-2, 1, look=look) for look in (False, True))
    assert looking.result.losses == blind.result.losses
    assert [each["step"] for each in looking.result.validations] == [0, 3, 6]
    last, same = lora.trained_weights(blind.model), lora.trained_weights(looking.model)
    assert last and all(each.equal(same[name]) for name, each in last.items())
    assert lora.fitted(some_rows(8), 6, 3e-2, 2).result.losses != blind.result.losses


def test_the_best_weights_are_scored_beside_the_last(tiny):
    """Said to have been best before the first step, a model is scored as it was then, and as it is at the end."""
    found = lora.fitted(some_rows(16), 8, 1e-2, 1, look=True)
    at_the_end = lora.scored(found)
    assert at_the_end["best"] == {"step": 8, "wrong": at_the_end["wrong"], "loss": at_the_end["loss"]}
    assert [each["step"] for each in at_the_end["curve"]] == [0, 4, 8]
    untrained = lora.fitted(some_rows(16), 8, 0.0, 1)
    found.best, found.result.before["validation_loss"] = lora.trained_weights(untrained.model), 0.0
    told, before = lora.scored(found), lora.scored(untrained)
    assert (told["wrong"], told["loss"]) == (at_the_end["wrong"], at_the_end["loss"])
    assert told["best"] == {"step": 0, "wrong": before["wrong"], "loss": pytest.approx(before["loss"])}
    assert told["loss"] < 0.97 * told["best"]["loss"]


def test_one_run_says_what_generation_says(tiny):
    told = lora.scored(lora.fitted(some_rows(16), 8, 3e-2, 1), generate=True)
    assert told["wrong_by_generation"] == told["wrong"] and told["rows_asked"] == 20


def test_where_training_breaks_off_all_is_wrong(tiny):
    told = lora.scored(lora.fitted(some_rows(8), 6, 1e30, 1))
    assert told["broken"].startswith("step ") and told["wrong"] == list(range(20))


def test_a_rate_is_judged_by_the_validation_rows(tiny, monkeypatch):
    monkeypatch.setattr(rates, "drawn", lambda rows, count, seed: rows[:count])
    found = rates.run({"rows": 8, "learning_rate": 1e-2})
    assert 0 <= found["wrong_share"] <= 1 and found["validation_loss"] > 0
    assert found["wrong_share"] * 12 == pytest.approx(round(found["wrong_share"] * 12))
    assert rates.run({"rows": 8, "learning_rate": 1e30})["wrong_share"] == 1


@pytest.mark.parametrize("method", curves.RIVALS["glosses"])
def test_a_rival_learns_what_is_to_be_learned_and_from_the_rows_alone(tiny, method):
    rows = some_rows(16)
    assert len(rivals.scored(method, "glosses", rows)["wrong"]) < 4
    swapped = [{**row, "completion": {"a": "b", "b": "a"}[row["completion"]]} for row in rows]
    assert len(rivals.scored(method, "glosses", swapped)["wrong"]) > 16 or method == rivals.FROZEN


def test_features_are_kept_and_new_texts_get_theirs(tiny, monkeypatch):
    own = [row["prompt"] for row in some_rows(5)]
    first = rivals.features_of("glosses", own)
    monkeypatch.setattr(rivals, "features", lambda *_: pytest.fail("they're kept"))
    kept = rivals.features_of("glosses", own[::-1])
    assert first.keys() == kept.keys() == {1, 2}
    for layer in first:
        np.testing.assert_array_equal(kept[layer], first[layer][::-1])
    monkeypatch.undo()


def test_new_texts_have_the_features_they_would_have_alone(tiny):
    own = [row["prompt"] for row in some_rows(3)]
    mixed = rivals.features_of("glosses", ["a new one", own[1], "another", "a new one"])
    model, tokenizer = training.fresh_base()
    for place, text in enumerate(["a new one", own[1], "another", "a new one"]):
        states = model.model(**tokenizer(text, return_tensors="pt"), output_hidden_states=True).hidden_states
        for layer, found in mixed.items():
            wanted = states[layer][0].mean(0).detach()
            torch.testing.assert_close(torch.from_numpy(found[place]), wanted, rtol=1e-4, atol=1e-5)


@pytest.mark.slow  # the real base's tokenizer
def test_every_answer_of_glosses_can_be_told_by_its_tokens(base):
    """What one pass counts is unambiguous: an answer's tokens are the same after every prompt."""
    _, tokenizer = base
    task = labkit.load_task("glosses")
    found: dict[str, set[tuple[int, ...]]] = {}
    for row in task.rows("test"):
        example = encode(tokenizer, row, task.system)
        found.setdefault(row["completion"], set()).add(tuple(example.input_ids[example.prompt_length :]))
    assert len(found) == 24 and all(len(tokens) == 1 for tokens in found.values())
    firsts = [next(iter(tokens))[0] for tokens in found.values()]
    assert len(set(firsts)) == 24, "the first token tells them apart already"
