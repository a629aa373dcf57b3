"""The choices: which runs they ask for, what they take from the court, and a tiny run of each kind."""

import json
import math
from collections import Counter
from itertools import pairwise

import pytest
import torch
from conftest import make_tiny_llama, make_tiny_tokenizer
from hypothesis import given
from hypothesis import strategies as st
from tiny_course import tasks_in, tiny_base
from transformers import LlamaConfig, LlamaForCausalLM

import labkit
from labkit.family.lora import LoRA
from labkit.family.spectrum import Spectrum
from labkit.lowrank import subspace_overlap
from labkit.step.batch import encode
from studies import runner
from studies.choices import __main__ as command
from studies.choices import (
    batch,
    few_rows,
    kept,
    overlap,
    predictions,
    rank,
    searching,
    targets,
    weights,
    wrong_settings,
)
from studies.choices.judging import base_of
from studies.choices.searching import NotYet, vertex
from studies.court import final, rates, training
from studies.court import methods as court_methods
from studies.runner import Study

ABOUT = {"date": "2026-11-29", "machine": "a laptop", "versions": {"torch": "2.13"}}
EVER = math.inf
FULL = ("full", "sql")


# ---- reading a rate off its neighbors


@given(st.floats(-3.2, -2.8), st.floats(0.1, 9), st.floats(-1, 1))
def test_the_vertex_of_a_parabola_is_found(at, bend, lowest):
    losses = {rate: lowest + bend * (math.log10(rate) - at) ** 2 for rate in (1e-4, 3e-4, 1e-3, 3e-3, 1e-2)}
    assert math.log10(vertex(losses)) == pytest.approx(at, abs=1e-6)


def test_at_an_end_or_beside_a_broken_rate_there_is_no_vertex():
    assert vertex({1e-4: 1.0, 1e-3: 2.0, 1e-2: 3.0}) is None
    assert vertex({1e-4: 3.0, 1e-3: 1.0, 1e-2: None}) is None
    assert vertex({1e-4: 1.0}) is None


# ---- the grids


def test_the_three_rules_agree_at_one_rank_and_only_there():
    def scale(candidate):
        settings = LoRA(**candidate["settings"])
        r, alpha = settings.r, settings.lora_alpha
        return alpha / (math.sqrt(r) if candidate["method"] == "rslora" else r)

    for r in rank.RATED:
        scales = [scale(rank.candidate(scaling, r)) for scaling in rank.SCALINGS]
        expected = [16 / r, 2 * math.sqrt(8 / r), 2]
        assert scales == pytest.approx(expected) and (len({round(each, 9) for each in scales}) == 1) == (r == 8)
    assert len(rank.CANDIDATES) == 7


def test_a_rank_takes_the_rate_of_its_nearest(monkeypatch):
    monkeypatch.setattr(searching.Search, "best", lambda self, candidate, folder: candidate["settings"]["r"])
    assert [rank.best_rate(r) for r in (1, 2, 4, 8, 16, 32, 64)] == [1, 1, 8, 8, 8, 64, 64]


@pytest.fixture
def real_shape():
    """The course's base without its numbers."""
    shape = {"vocab_size": 49152, "hidden_size": 576, "intermediate_size": 1536, "num_hidden_layers": 30}
    with torch.device("meta"):
        return LlamaForCausalLM(LlamaConfig(**shape, num_attention_heads=9, num_key_value_heads=3))


def test_all_choices_of_layers_train_about_as_many_numbers(real_shape):
    model = real_shape
    counts = {name: LoRA(**settings).count(model) for name, settings in targets.LAYERS.items()}
    assert counts[targets.ALL] == 2_442_240
    assert {name: round(count / counts[targets.ALL] - 1, 3) for name, count in counts.items()} == {
        "q, v": -0.009,
        "q, k, v, o": -0.009,
        "MLP": 0.012,
        "all-linear": 0,
    }
    assert all(each["lora_alpha"] == 2 * each["r"] for each in targets.LAYERS.values())


def test_all_choices_of_weights_train_about_as_many_numbers(real_shape):
    settings = {**weights.WEIGHTS, "a quarter at random": weights.QUARTER}  # as many of each kind
    counts = [Spectrum(**each).count(real_shape) for each in settings.values()]
    assert counts == [24_772_608, 24_772_608, 26_542_080]


def test_a_quarter_at_random_has_as_many_of_each_kind_and_is_another_with_each_seed():
    def trained(name: str, seed: int) -> set[str]:
        model = make_tiny_llama(num_hidden_layers=12)
        torch.manual_seed(seed)
        return set(court_methods.put_on(model, None, None, weights.CONTEST.candidate(name, "glosses")).parameters)

    def kinds(names: set[str]) -> Counter:
        return Counter(name.split(".")[-2] for name in names)

    drawn = [trained("a quarter at random", seed) for seed in (1, 2, 1)]
    picked = trained(weights.SPECTRUM, 1)
    assert drawn[0] == drawn[2] != drawn[1] and picked not in drawn
    assert kinds(drawn[0]) == kinds(drawn[1]) == kinds(picked) and set(kinds(picked).values()) == {3}
    assert kinds(trained("all of attention", 1)) == dict.fromkeys(["q_proj", "k_proj", "v_proj", "o_proj"], 12)


def test_both_batch_sizes_see_all_rows_once_and_no_more():
    assert {size: batch.ROWS % size for _, size in batch.MIDDLES} == {4: 0, 64: 0}
    assert batch.ROWS <= len(labkit.load_task(batch.TASK).rows("train"))


def test_the_few_rows_are_rows_and_a_third_is_the_next_lower_rate(monkeypatch):
    assert len(set(few_rows.ROWS)) == few_rows.COUNT
    assert set(few_rows.ROWS) <= set(range(len(labkit.load_task("sql").rows("train"))))
    for best, third in ((1e-3, 3e-4), (3e-5, 1e-5), (3e-2, 1e-2)):
        monkeypatch.setattr(rates, "chosen", lambda folder, best=best: {FULL: best})
        assert (few_rows.rate_of("full", "best"), few_rows.rate_of("full", "a third")) == (best, third)


def test_every_answer_gets_another_row_and_none_is_lost():
    rows = [{"prompt": str(n), "completion": n} for n in range(50)]
    given_ = wrong_settings.shuffled(rows)
    assert [each["prompt"] for each in given_] == [each["prompt"] for each in rows]
    assert all(each["completion"] != row["completion"] for each, row in zip(given_, rows))
    assert sorted(each["completion"] for each in given_) == list(range(50))


# ---- the stages, with runs that only pretend


def pretended_rate(setting: dict) -> dict:
    """LoRA's best rate falls with the rank where α = 2r, and the rate of all layers is half a decade lower."""
    settings = setting["settings"]
    best = 1e-3 * 8 / settings["r"] if settings.get("lora_alpha") == 2 * settings.get("r", 0) else 1e-3
    return {"validation_loss": abs(math.log10(setting["learning_rate"] / best)), "losses": []}


def pretended_final(setting: dict) -> dict:
    """All answer half of 80 rows, r = 1 and q, v fewer, MLP more."""
    r = setting.get("settings", {}).get("r")
    right = {None: 0, 1: 10, 42: 10, 13: 70}.get(r, 40)
    wrong = [{"row": row, "answer": "no"} for row in range(right, 80)]
    return {"rows": 80, "wrong": wrong, "perplexity": math.exp(2 if r is None else 2.1)}


def pretended_batch(setting: dict, seed: int) -> dict:
    if setting["learning_rate"] is None:
        raise NotYet("no rate")
    best = searching.grids.rate_at(batch.MIDDLES[setting["method"], setting["batch_size"]])
    more = {"lora": 0.3, "full": 0.1}[setting["method"]] * (setting["batch_size"] == 64) + seed / 100
    return {"validation_loss": 1 + more + abs(math.log10(setting["learning_rate"] / best)), "losses": []}


def pretended_few(setting: dict) -> dict:
    if setting["learning_rate"] is None:
        raise NotYet("no rate")
    losses = (2.5, 1.0, 0.5, 0.75)
    return {"curve": [{"step": 10 * n, "validation_loss": loss} for n, loss in enumerate(losses)], "losses": []}


def pretended_wrong(setting: dict) -> dict:
    case = setting["case"]
    if case == "rate × 30":
        return {"broken": "step 3: no number"}
    bad = case in ("rate × 10", wrong_settings.WITH_ROWS)
    wrong = {
        "execution": list(range(4 if case == wrong_settings.RIGHT else 60, 64)),
        "valid_sql": list(range(bad * 32)),
    }
    loss = None if case == wrong_settings.WITH_ROWS else {wrong_settings.BASE: 2.5, "rate × 10": 7}.get(case, 0.1)
    scores = dict.fromkeys(wrong, {"mean": 0.5})
    return {"validation_loss": loss, "perplexity": 15 + bad, "rows": 64, "wrong": wrong, "scores": scores}


@pytest.fixture
def pretended(monkeypatch):
    monkeypatch.setattr(runner, "provenance", lambda *_: ABOUT)
    monkeypatch.setattr(rates, "run", pretended_rate)
    monkeypatch.setattr(final, "run", pretended_final)
    monkeypatch.setattr(batch, "run", pretended_batch)
    monkeypatch.setattr(few_rows, "run", pretended_few)
    monkeypatch.setattr(wrong_settings, "run", pretended_wrong)
    monkeypatch.setattr(overlap, "run", lambda setting: {"by_kind": {}})


def court_has_full(folder):
    """The court's lines of full fine-tuning on sql, as far as few rows need them."""
    losses = {rate: abs(math.log10(rate / 3e-5)) for rate in (1e-5, 3e-5, 1e-4, 3e-4, 1e-3)}
    for rate, loss in losses.items():
        setting = court_methods.setting_of("full", task="sql", learning_rate=rate)
        rates.study(folder)._append(setting, {"validation_loss": loss, "losses": []}, 1.0)


def stored(folder, name: str) -> dict:
    return json.loads((folder / f"{name}.json").read_text())


def test_all_that_depends_on_nothing_else_is_run_in_one_go_and_the_rest_says_what_it_waits_for(pretended, tmp_path):
    assert command.run_all(command.STAGES, EVER, EVER, tmp_path) == ["no rate"]
    left = {stage.name for stage in all_stages(tmp_path) if stage.missing()}
    assert left == {"choices_few_rows"}
    court_has_full(tmp_path)
    assert command.run_all(command.STAGES, EVER, EVER, tmp_path) == []
    for stage in all_stages(tmp_path):
        assert stage.missing() == [] and stored(tmp_path, stage.name) == json.loads(json.dumps(stage.result()))


def all_stages(folder) -> list[Study]:
    return [stage(folder) for stages in command.STAGES.values() for stage in stages]


def test_a_sitting_ends_after_its_runs(pretended, tmp_path):
    command.run_all(["rank"], 3, EVER, tmp_path)
    assert len(rank.RATES.study(tmp_path).finished()) == 3
    command.run_all(["rank"], EVER, 0, tmp_path)  # no time left
    assert len(rank.RATES.study(tmp_path).finished()) == 3


def test_the_best_rate_of_each_rule_is_found_and_the_grid_grows_for_it(pretended, tmp_path):
    command.run_all(["rank"], EVER, EVER, tmp_path)
    best = {(each["method"], each["settings"]["r"], each["settings"]["lora_alpha"]): each for each in
            stored(tmp_path, "choices_rank_rates")["best"]}  # fmt: skip
    assert {key: each["learning_rate"] for key, each in best.items()} == {
        ("lora", 1, 16): 1e-3,
        ("rslora", 1, 2 * math.sqrt(8)): 1e-3,
        ("lora", 1, 2): 1e-2,
        ("lora", 8, 16): 1e-3,
        ("lora", 64, 16): 1e-3,
        ("rslora", 64, 2 * math.sqrt(8)): 1e-3,
        ("lora", 64, 128): 1e-4,
    }
    assert not any(each["at_an_end"] for each in best.values())
    taken = {each["settings"]["r"]: each["learning_rate"] for each in stored(tmp_path, "choices_rank")["runs"][1:]}
    assert taken == {1: 1e-2, 4: 1e-3, 8: 1e-3, 16: 1e-3, 64: 1e-4}


def test_verdicts_are_against_the_one_and_forgetting_against_the_base(pretended, tmp_path):
    command.run_all(["rank", "targets"], EVER, EVER, tmp_path)
    of_rank, of_layers = stored(tmp_path, "choices_rank"), stored(tmp_path, "choices_targets")
    verdicts = {each["name"]: each["verdict"] for each in of_rank["verdicts"]}
    assert verdicts == {1: "worse", 4: "can't tell", 16: "can't tell", 64: "can't tell"}
    verdicts = {(each["task"], each["name"]): each["verdict"] for each in of_layers["verdicts"]}
    for task in training.TASKS:
        assert verdicts[task, "q, v"] == "worse" and verdicts[task, "MLP"] == "better"
        assert verdicts[task, "q, k, v, o"] == "can't tell" and (task, targets.ALL) not in verdicts
    layers = [targets.CONTEST.name_of(each["settings"]) for each in stored(tmp_path, "choices_targets_rates")["runs"]]
    assert [layers.count(name) for name in targets.LAYERS] == [8, 8, 6, 6]  # where r is high, the grid has grown
    base, *trained = of_rank["runs"]
    assert base["name"] == "base" and base["forgetting"] == 0 and len(trained) == 3 * len(rank.RANKS)
    assert all(each["forgetting"] == pytest.approx(0.1) for each in trained)
    assert trained[0]["wrong"] == list(range(10, 80))


def test_what_a_large_batch_costs_is_compared_seed_by_seed(pretended, tmp_path):
    command.run_all(["batch"], EVER, EVER, tmp_path)
    found = stored(tmp_path, "choices_batch")
    assert found["lost_at_64"]["rise"] == {"lora": pytest.approx([0.3, 0.3]), "full": pytest.approx([0.1, 0.1])}
    assert found["lost_at_64"]["lora_more_than_full"] == pytest.approx([0.2, 0.2])
    assert [each["of_grid"] for each in found["rates_lora_to_full"]] == pytest.approx([1e-3 / 3e-5, 3e-3 / 1e-4])
    broken = [each | {"validation_loss": None} if each["method"] == "lora" else each for each in found["runs"]]
    best = stored(tmp_path, "choices_batch_rates")["best"]
    assert batch.compared(broken, best)["lost_at_64"]["mean"] is None


def test_overfitting_is_how_far_the_last_loss_is_above_the_lowest(pretended, tmp_path):
    court_has_full(tmp_path)
    command.run_all(["rank", "few_rows"], EVER, EVER, tmp_path)
    runs = stored(tmp_path, "choices_few_rows")["runs"]
    assert len(runs) == 20 and all((each["lowest"], each["rise"]) == (0.5, 0.25) for each in runs)
    rate = {(each["name"], each["rate"]): each["learning_rate"] for each in runs}
    assert (rate["full", "best"], rate["full", "a third"]) == (3e-5, 1e-5)
    assert (rate["r = 64", "best"], rate["r = 64", "a third"]) == (1e-4, 3e-5)
    assert rate["r = 8, dropout 0.1", "best"] == rate["r = 8", "best"] == 1e-3
    assert few_rows.tidy([{"curve": None}]) == {"runs": [{"curve": None, "lowest": None, "last": None, "rise": None}]}


def test_what_is_below_the_base_is_said_measure_by_measure(pretended, tmp_path):
    command.run_all(["rank", "wrong_settings"], EVER, EVER, tmp_path)
    runs = {each["case"]: each for each in stored(tmp_path, "choices_wrong_settings")["runs"]}
    assert runs.keys() == set(wrong_settings.CASES) and all(
        "below" not in runs[case] for case in wrong_settings.UNTRAINED
    )
    assert runs["rate × 10"]["below"] == {"validation_loss": True, "perplexity": True}
    assert runs["nothing wrong"]["below"] == {"validation_loss": False, "perplexity": False}
    verdicts = runs["nothing wrong"]["against_shown"]
    assert (verdicts["execution"]["verdict"], verdicts["valid_sql"]["verdict"]) == ("worse", "better")
    assert runs["rate × 10"]["against_shown"]["valid_sql"]["verdict"] == "can't tell"
    assert "below" not in runs["rate × 30"]


# ---- what the court lends


def test_what_the_court_has_run_is_taken_from_it_and_says_so(pretended, tmp_path, monkeypatch):
    same = rank.candidate("α = 2r", 8) | {"learning_rate": 1e-3}
    assert same == court_methods.setting_of("lora", task="sql", learning_rate=1e-3)
    rates.study(tmp_path)._append(same, {"validation_loss": 0.125, "losses": []}, 75.0)
    monkeypatch.setattr(rates, "run", lambda setting: {"validation_loss": 9.0})
    assert searching.tried(same, tmp_path) == {
        "validation_loss": 0.125,
        "losses": [],
        "lent": {"study": "court_rates", "date": ABOUT["date"], "machine": ABOUT["machine"]},
    }
    other = rank.candidate("α = 2r", 64) | {"learning_rate": 1e-3}
    assert searching.tried(other, tmp_path) == {"validation_loss": 9.0}
    seeded = same | {"seed": 1}
    final.study(tmp_path)._append(seeded, {"rows": 3}, 200.0)
    assert (
        searching.scored(seeded, tmp_path)["rows"] == 3
        and searching.scored(seeded | {"seed": 2}, tmp_path)["rows"] == 80
    )
    with pytest.raises(NotYet, match="waits for its learning rate"):
        searching.scored(seeded | {"learning_rate": None}, tmp_path)


def test_the_base_is_asked_for_as_the_court_asks():
    assert base_of("glosses") in final.study().grid


# ---- the predictions


def test_every_choice_has_predictions_with_reasons_that_are_older_than_its_runs():
    assert predictions.PREDICTIONS.keys() == command.STAGES.keys()
    for each in (each for several in predictions.PREDICTIONS.values() for each in several):
        assert each.question.endswith("?") and each.expected and len(each.why) > 30
    for stages in command.STAGES.values():
        for stage in stages:
            assert all(predictions.DATE <= line["date"] for line in stage().finished().values())


# ---- tiny runs


@pytest.fixture
def tiny(monkeypatch, tmp_path, one_thread):
    """Tiny tasks, a tiny base, four steps, and SQL's two scores."""

    def score(answer: str, row) -> dict:
        return {"execution": float(answer == row["completion"]), "valid_sql": float("ok" in answer)}

    for module in (training, final):
        monkeypatch.setattr(module, "fresh_base", tiny_base)
    monkeypatch.setattr(labkit, "load_task", tasks_in(tmp_path, score, train=40), raising=False)
    monkeypatch.setattr(labkit, "perplexity", lambda *_: 7.0, raising=False)
    monkeypatch.setattr(training, "CHECKPOINTS", tmp_path / "checkpoints")
    monkeypatch.setattr(kept, "KEPT", tmp_path / "kept")
    monkeypatch.setattr(training, "STEPS", 4)
    return tmp_path


def test_a_batch_size_is_trained_with_its_own_number_of_steps(tiny, monkeypatch):
    monkeypatch.setattr(batch, "ROWS", 16)
    setting = batch.candidate("lora", 4) | {"learning_rate": 1e-3}
    one, other = batch.run(setting, 0), batch.run(setting | {"batch_size": 8}, 0)
    assert len(one["losses"]) == 4 and len(other["losses"]) == 2 and one["validation_loss"] > 0
    assert batch.run(setting, 0) == one != batch.run(setting, 1)
    broken = batch.run(batch.candidate("full", 4) | {"learning_rate": 1e30}, 0)
    assert broken["validation_loss"] is None and broken["broken"].startswith("step ")


@pytest.mark.parametrize("name", few_rows.CONTENDERS)
def test_few_rows_give_a_curve(tiny, monkeypatch, name):
    monkeypatch.setattr(few_rows, "STEPS", 4)
    monkeypatch.setattr(few_rows, "EVERY", 2)
    monkeypatch.setattr(few_rows, "ROWS", [3, 5, 7, 11])
    setting = {"name": name, "rate": "best", "learning_rate": 1e-3, "seed": 1}
    found = few_rows.run(setting)
    assert [each["step"] for each in found["curve"]] == [0, 2, 4] and len(found["losses"]) == 4
    assert found["curve"][2]["validation_loss"] != found["curve"][0]["validation_loss"]
    monkeypatch.setattr(few_rows, "ROWS", [3, 5, 7, 12])
    assert few_rows.run(setting)["losses"] != found["losses"]


def test_few_rows_at_a_rate_that_is_no_use_have_no_curve(tiny, monkeypatch):
    monkeypatch.setattr(few_rows, "STEPS", 4)
    monkeypatch.setattr(few_rows, "ROWS", [3, 5, 7, 11])
    found = few_rows.run({"name": "full", "rate": "best", "learning_rate": 1e30, "seed": 1})
    assert found["curve"] is None and found["broken"].startswith("step ")


def adapter(seed: int, r: int = 8) -> dict:
    return {"r": r, "learning_rate": 1e-2, "seed": seed}


def test_the_spectrum_of_an_adapter_and_the_overlap_of_two_are_measured(tiny):
    alone = overlap.run({"adapters": [adapter(0)]})["by_kind"]
    assert alone.keys() == {"q_proj", "k_proj", "v_proj", "o_proj", "gate_proj", "up_proj", "down_proj"}
    for about in alone.values():
        assert len(about["effective_rank"]) == 2 and all(1 <= each <= 8 for each in about["effective_rank"])
        assert about["energy"].keys() == {"1", "2", "4", "8"} and about["energy"]["8"] == pytest.approx(1)
        assert about["energy"]["1"] < about["energy"]["4"]
        assert all(each > 5 for each in about["of_random"])
    both = overlap.run({"adapters": [adapter(0), adapter(1)]})["by_kind"]
    same = overlap.run({"adapters": [adapter(0), adapter(0)]})["by_kind"]
    for kind, by_side in both.items():
        for side, about in by_side.items():
            assert about["i"] == about["j"] == [1, 2, 4, 8]
            assert 0 < about["phi"][3][3] < 0.999 or side in ("output", "B")
            assert [same[kind][side]["phi"][place][place] for place in range(4)] == pytest.approx([1] * 4, abs=1e-3)
    assert both["q_proj"]["input"]["of_random"][0][3] == 8 / 32 and both["down_proj"]["A"]["of_random"][1][0] == 2 / 48


def test_the_overlap_is_that_of_the_updates_themselves(tiny):
    first, second = (overlap.factors(adapter(seed)) for seed in (0, 1))
    name = next(iter(first))
    ours, theirs = (B @ A for B, A in (first[name], second[name]))
    table = overlap.sides(first[name], second[name])
    for side, one, other in (("output", ours, theirs), ("input", ours.T, theirs.T)):
        found = overlap.subspace_overlaps(*table[side])
        assert found[1, 3].item() == pytest.approx(subspace_overlap(one, other, 2, 4), abs=1e-4)
    A = subspace_overlap(first[name][1].T, second[name][1].T, 2, 4)
    assert overlap.subspace_overlaps(*table["A"])[1, 3].item() == pytest.approx(A, abs=1e-4)


def test_an_adapter_is_trained_once(tiny, monkeypatch):
    one, _ = kept.trained_once(rank.candidate("α = 2r", 8), 0, 1e-2)
    monkeypatch.setattr(training, "train", lambda *_: pytest.fail("trained again"))
    other, _ = kept.trained_once(rank.candidate("α = 2r", 8), 0, 1e-2)
    for (B1, A1), (B2, A2) in zip(overlap.factors_of(one).values(), overlap.factors_of(other).values(), strict=True):
        assert torch.equal(B1, B2) and torch.equal(A1, A2) and B1.any()
    with pytest.raises(pytest.fail.Exception):
        kept.trained_once(rank.candidate("α = 2r", 8), 1, 1e-2)


@pytest.fixture
def wrongly(tiny):
    return {case: wrong_settings.run({"case": case, "learning_rate": 1e-3}) for case in wrong_settings.CASES}


def test_each_wrong_setting_makes_another_model_or_asks_another_question(wrongly):
    for case, found in wrongly.items():
        assert found["rows"] == 6 and found["wrong"].keys() == {"execution", "valid_sql"}
        assert (found["validation_loss"] is None) == (case == wrong_settings.WITH_ROWS)
        json.dumps(found)
    losses = [found["validation_loss"] for found in wrongly.values() if found["validation_loss"]]
    assert len(set(losses)) == len(wrong_settings.CASES) - 1
    assert all(abs(one - other) > 1e-6 for one, other in pairwise(sorted(losses)))


def test_with_the_loss_on_prompts_every_token_but_the_first_counts(tiny):
    tokenizer, row = make_tiny_tokenizer(), {"prompt": "say 1", "completion": "ok 1"}
    before = encode(tokenizer, row, "Say it.")
    with wrong_settings.counting_all():
        from labkit.training import refusals

        found = refusals.encode(tokenizer, row, "Say it.")
    assert found.input_ids == before.input_ids and found.counted == len(before.input_ids) - 1 > before.counted
    assert refusals.encode(tokenizer, row, "Say it.") == before


def test_alpaca_is_a_template_that_shows_all_of_it():
    tokenizer = make_tiny_tokenizer()
    tokenizer.chat_template = wrong_settings.TEMPLATE
    messages = [{"role": "system", "content": "Be so."}, {"role": "user", "content": "Who?"}]
    text = tokenizer.apply_chat_template(messages, tokenize=False, add_generation_prompt=True)
    assert text == "Be so.\n\n### Instruction:\nWho?\n\n### Response:\n"


@pytest.mark.slow
def test_a_tiny_rank_and_targets_from_the_first_run_to_the_last(tiny, monkeypatch):
    monkeypatch.setattr(rank, "RANKS", (1, 8))
    command.run_all(["rank"], EVER, EVER, tiny)
    found = stored(tiny, "choices_rank")
    assert [each["name"] for each in found["runs"]] == ["base", 1, 8, 1, 8, 1, 8]
    assert all(each["trained"] > 0 and each["intruders"]["looked_at"] > 0 for each in found["runs"][1:])
    assert [each["name"] for each in found["verdicts"]] == [1]


@pytest.mark.slow
def test_a_tiny_choice_of_weights_from_the_first_run_to_the_last(tiny):
    command.run_all(["weights"], EVER, EVER, tiny)
    found = stored(tiny, "choices_weights")
    assert [each["name"] for each in found["runs"]] == ["base", *3 * list(weights.WEIGHTS)]
    assert all(each["trained"] > 0 and each["intruders"]["looked_at"] > 0 for each in found["runs"][1:])
    assert [each["name"] for each in found["verdicts"]] == ["a quarter at random", "all of attention"]
