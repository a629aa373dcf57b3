"""Forgetting: which rows each remedy sees, what is made of the runs, and a tiny run of each kind."""

import json
import math
from dataclasses import replace

import pytest
import torch
from conftest import make_tiny_llama, make_tiny_tokenizer
from tiny_course import tasks_in, tiny_base

import labkit
from labkit import Task
from labkit.lab.experiments import everyday
from labkit.lab.experiments.everyday import EVERYDAY
from labkit.step.batch import encode
from labkit.step.kl import kl_to_silenced
from studies import runner
from studies.choices import kept
from studies.choices.searching import NotYet
from studies.court import methods as court_methods
from studies.court import rates, training
from studies.forgetting import __main__ as command
from studies.forgetting import cost, predictions, remedies, sequence, switch
from studies.forgetting import training as ours
from studies.forgetting.remedies import BASE, LOWER, NOTHING, REMEDIES, SWITCH
from studies.runner import StudyError, go_on

ABOUT = {"date": "2026-11-29", "machine": "a laptop", "versions": {"torch": "2.13"}}
EVER = math.inf


# ---- which rows


@pytest.mark.parametrize(("task", "count", "more"), [("sql", 240, 12), ("glosses", 480, 24)])
def test_replay_has_the_courts_rows_once_each_and_5_percent_more_in_whole_steps(task, count, more):
    task = labkit.load_task(task)
    rows, others = ours.seen(task, seed=1), ours.others(count)
    assert len(rows) == count == len({row["prompt"] for row in rows}) and len(others) == more
    assert rows != ours.seen(task, seed=2) and {row["system"] for row in others} == {EVERYDAY.system}
    assert (count + more) / training.BATCH_SIZE[task.name] == 63


def test_the_lower_rate_is_the_next_of_the_grid(monkeypatch):
    monkeypatch.setattr(rates, "chosen", lambda folder: {("lora", "sql"): 3e-3})
    assert [ours.rate_of("sql", None, lower) for lower in (False, True)] == [3e-3, 1e-3]
    assert ours.rate_of("glosses", None) is None is ours.rate_of("glosses", None, True)


@pytest.mark.parametrize("count", [0, 1, 12, 24, 60])
def test_each_held_row_has_its_step_and_they_are_evenly_apart(monkeypatch, count):
    tokenizer, task = make_tiny_tokenizer(), Task("say", "Say it.", everyday.score, {})
    rows = [{"prompt": f"say {'a' * (n + 1)}", "completion": "ok"} for n in range(count)]
    monkeypatch.setattr(ours, "kl_to_silenced", lambda model, batch: batch.input_ids)
    extra = ours.held(make_tiny_llama(), tokenizer, task, rows)
    found = [extra(None, step) for step in range(training.STEPS)]
    taken = [step for step, ids in enumerate(found) if ids is not None]
    assert [found[step].shape for step in taken] == [
        (1, len(encode(tokenizer, row, task.system).input_ids)) for row in rows
    ]
    apart = {after - before for before, after in zip(taken, taken[1:])}
    assert apart <= ({60 // count, -(-60 // count)} if count else set())


# ---- the switch


@pytest.mark.parametrize("name", training.TASKS)
def test_the_switch_knows_what_it_was_given(name):
    task = labkit.load_task(name)
    assert switch.is_foreign(EVERYDAY.rows("train")["prompt"], task).all()
    known = switch.is_foreign(task.rows("train")["prompt"][:24], task)
    assert known.sum() <= 1 and known.dtype == torch.bool


# ---- the stages, with runs that only pretend


def pretended(setting: dict) -> dict:
    """Nothing: all questions in the task's form, every second row right. KL: none, and as many rows. Half: no row."""
    questions, remedy, task = len(EVERYDAY.rows("test")), setting["remedy"], setting["task"]
    own = {"sql": "SELECT a FROM b", "glosses": "animal"}[task]
    answers = ["Paris" if remedy in (BASE, "KL") else own] * questions
    found = {
        "perplexity": math.exp(2 + (remedy not in (BASE, "KL"))),
        "everyday": dict.fromkeys(remedies.SYSTEMS, answers),
    }
    if remedy == BASE:
        return found
    right = {"half": 0}.get(remedy, 64)
    return found | {"rows": 128, "wrong": [{"row": row, "answer": own} for row in range(right, 128)]}


def pretended_sequence(setting: dict) -> dict:
    right = {"sql": 10 if setting["way"] == sequence.WAYS[0] else 64, "glosses": 64}
    return {
        "scored": {
            task: {"rows": 128, "wrong": [{"row": row, "answer": ""} for row in range(count, 128)]}
            for task, count in right.items()
        }
    }


@pytest.fixture
def stages(monkeypatch, tmp_path):
    """The stages in a folder of their own, with rates of the court, and runs that take no time."""
    monkeypatch.setattr(runner, "provenance", lambda *_: ABOUT)
    monkeypatch.setattr(remedies, "run", pretended)
    monkeypatch.setattr(sequence, "run", pretended_sequence)
    for task in training.TASKS:
        for rate in (1e-4, 3e-4, 1e-3, 3e-3, 1e-2):
            setting = court_methods.setting_of("lora", task=task, learning_rate=rate)
            found = {"validation_loss": abs(math.log(rate / 3e-3)), "losses": []}
            rates.study(tmp_path)._append(setting, found, 1.0)
    return tmp_path


def test_the_grid_has_every_remedy_with_three_seeds_and_the_courts_rates(stages):
    grid = remedies.study(stages).grid
    assert len(grid) == 2 + 2 * 3 * len(REMEDIES) == 32
    assert {(each["remedy"] == LOWER, each["learning_rate"]) for each in grid[2:]} == {(False, 3e-3), (True, 1e-3)}
    assert sequence.study(stages).grid[0]["learning_rates"] == [3e-3, 3e-3]


def test_remedies_are_compared_with_nothing(stages):
    go_on(remedies.study, EVER, EVER, stages)
    found = json.loads((stages / "forgetting.json").read_text())
    table = {(each["task"], each["remedy"]): each for each in found["table"]}
    assert len(table) == len(found["table"]) == 2 * (len(REMEDIES) + 2)
    for task in training.TASKS:
        base, nothing, kl, half, away = (table[task, name] for name in (BASE, NOTHING, "KL", "half", SWITCH))
        assert "score" not in base and base["neutral"]["not in the task's form"]["mean"] == 1
        assert nothing["forgetting"] == pytest.approx([1, 1, 1]) and kl["forgetting"] == [0, 0, 0]
        assert nothing["score"]["mean"] == 0.5 == kl["score"]["mean"] and kl["score"]["verdict"] == "can't tell"
        assert (half["score"]["verdict"], half["score"]["difference"]["mean"]) == ("worse", -0.5)
        assert 0.4 < nothing["score"]["low"] < 0.5 < nothing["score"]["high"] < 0.6
        for system in remedies.SYSTEMS:
            form = "not in the task's form"
            assert (kl[system][form]["verdict"], kl[system][form]["mean"]) == ("better", 1)
            assert nothing[system][form]["mean"] == 0 < nothing[system][form]["high"] < 0.1  # 48 alike aren't certain
            assert kl[system]["right"]["mean"] == pytest.approx(1 / 48)  # one capital
            assert away[system][form]["mean"] > 0.5
    assert len(found["runs"]) == 32 and all("forgetting" in each for each in found["runs"])
    assert [each["seed"] for each in found["runs"] if "everyday" in each].count(1) == 10
    assert found["runs"][-1]["wrong"] == list(range(128)) and "everyday" not in found["runs"][-1]


def test_the_switch_takes_the_bases_answers_and_loses_the_rows_it_silences(monkeypatch):
    monkeypatch.setattr(remedies, "is_foreign", lambda messages, task: torch.arange(len(messages)) % 4 == 0)
    run_, base = (pretended({"task": "sql", "remedy": remedy}) for remedy in (NOTHING, BASE))
    (found,), about = remedies.switched([run_], base, labkit.load_task("sql"))
    assert about == {"rows_silenced": 0.25, "questions_let_through": 0.75}
    assert [row["row"] for row in found["wrong"]] == sorted({*range(0, 128, 4), *range(64, 128)})
    for answers in found["everyday"].values():
        assert [answer == "Paris" for answer in answers] == [place % 4 == 0 for place in range(48)]


def test_the_sequence_is_compared_with_an_adapter_for_each(stages):
    with pytest.raises(NotYet, match="finish the stage remedies first"):
        go_on(sequence.study, EVER, EVER, stages)
    go_on(remedies.study, EVER, EVER, stages)
    go_on(sequence.study, EVER, EVER, stages)
    table = json.loads((stages / "forgetting_sequence.json").read_text())["table"]
    verdicts = {(each["task"], each["way"]): each["score"]["verdict"] for each in table}
    after, with_first = sequence.WAYS
    assert verdicts["sql", after] == "worse"
    assert verdicts["sql", with_first] == verdicts["glosses", after] == "can't tell"
    assert len(table) == 6


def test_without_the_courts_rates_nothing_is_trained(tmp_path):
    setting = remedies.study(tmp_path).grid[2]
    assert setting["learning_rate"] is None
    with pytest.raises(NotYet, match="waits for its learning rate"):
        ours.trained(setting)
    with pytest.raises(NotYet, match="waits for its learning rates"):
        sequence.run(sequence.study(tmp_path).grid[0])


def test_every_stage_has_predictions_that_are_older_than_its_runs():
    assert predictions.PREDICTIONS.keys() == command.STAGES.keys()
    for each in (each for several in predictions.PREDICTIONS.values() for each in several):
        assert each.question.endswith("?") and each.expected and len(each.why) > 30
    for stage in command.STAGES.values():
        assert all(predictions.DATE <= line["date"] for line in stage().finished().values())


# ---- tiny runs


@pytest.fixture
def tiny(monkeypatch, tmp_path, one_thread):
    """Two tiny tasks, a tiny base, four steps, and four everyday questions."""

    score = lambda answer, row: {"right": float(answer == row["completion"])}  # noqa: E731
    few = {}
    for split, file in EVERYDAY.files.items():
        few[split] = tmp_path / f"few-{split}.jsonl"
        few[split].write_text("".join(file.read_text().splitlines(keepends=True)[:4]))
    for module in (ours, remedies, switch):
        monkeypatch.setattr(module, "EVERYDAY", replace(EVERYDAY, files=few, max_new_tokens=2))
    monkeypatch.setattr(training, "fresh_base", tiny_base)
    monkeypatch.setattr(labkit, "load_task", tasks_in(tmp_path, score, train=40), raising=False)
    monkeypatch.setattr(labkit, "perplexity", lambda *_: 7.0, raising=False)
    monkeypatch.setattr(training, "CHECKPOINTS", tmp_path / "checkpoints")
    monkeypatch.setattr(kept, "KEPT", tmp_path / "kept")
    monkeypatch.setattr(training, "STEPS", 4)
    monkeypatch.setattr(ours, "SHARE", 0.15)
    return tmp_path


def setting_for(remedy: str, task: str = "sql") -> dict:
    return {"task": task, "remedy": remedy, "learning_rate": 1e-2, "seed": 1}


def weights_of(model) -> dict[str, torch.Tensor]:
    return {name: p.detach().clone() for name, p in model.named_parameters() if "lora_" in name}


def test_each_remedy_makes_another_adapter_and_nothing_is_the_courts(tiny):
    models = {remedy: ours.trained(setting_for(remedy))[0] for remedy in REMEDIES if remedy != LOWER}
    court, *_ = training.train(ours.lora("sql"), 1, 1e-2)
    weights = {remedy: weights_of(model) for remedy, model in models.items()}
    assert all(torch.equal(p, weights_of(court.model)[name]) for name, p in weights[NOTHING].items())
    B = "model.layers.0.self_attn.q_proj.lora_B.weight"
    assert all(not torch.equal(weights[one][B], weights[NOTHING][B]) for one in ("replay", "KL"))
    assert not torch.equal(weights["replay"][B], weights["KL"][B])
    pairs = zip(labkit.lora_layers(models["half"]), labkit.lora_layers(models[NOTHING]), strict=True)
    assert all(torch.equal(2 * half.delta_weight(), whole.delta_weight()) for (_, half), (_, whole) in pairs)


def test_with_no_rows_to_hold_the_kl_is_nothing_done_about_it(tiny, monkeypatch):
    monkeypatch.setattr(ours, "SHARE", 0.0)
    alone, held = (weights_of(ours.trained(setting_for(remedy))[0]) for remedy in (NOTHING, "KL"))
    assert all(torch.equal(p, held[name]) for name, p in alone.items())


def test_none_of_the_adapter_is_the_base(tiny):
    model, _ = ours.trained(setting_for(NOTHING))
    ids = torch.arange(3, 40)[None]
    with torch.no_grad():
        base = training.fresh_base()[0](ids).logits
        assert not torch.allclose(model(ids).logits, base, atol=1e-3)
        torch.testing.assert_close(ours.scaled(model, 0.0)(ids).logits, base)


@pytest.mark.parametrize("remedy", [BASE, "replay", "KL", "half"])
def test_a_run_says_what_was_learned_and_what_was_forgotten(tiny, remedy):
    found = remedies.run(setting_for(remedy))
    assert found["perplexity"] == 7 and found["everyday"].keys() == set(remedies.SYSTEMS)
    assert all(len(answers) == 4 for answers in found["everyday"].values())
    assert ("rows" in found) == (remedy != BASE) and ("labels" in found) == (remedy == "replay")
    if remedy == "replay":
        assert 0 < found["labels"]["task"] and 0 < found["labels"]["others"]
    json.dumps(found)


def test_a_rate_that_is_no_use_stops_the_study_in_a_sentence(tiny):
    for remedy in (NOTHING, "replay"):
        with pytest.raises(StudyError, match="broke off: step "):
            ours.trained(setting_for(remedy) | {"learning_rate": 1e30})


def test_the_second_task_goes_on_from_the_firsts_adapter_and_rows_keep_their_system_prompt(tiny, monkeypatch):
    asked, real = [], labkit.train

    def watched(model, tokenizer, task, config, **named):
        asked.append((task.name, weights_of(model), named.get("rows")))
        return real(model, tokenizer, task, config, **named)

    monkeypatch.setattr(labkit, "train", watched, raising=False)
    setting = {"learning_rates": [1e-2, 1e-2], "seed": 1}
    for way in sequence.WAYS:
        found = sequence.run(setting | {"way": way})
        assert found["scored"].keys() == {"sql", "glosses"}
        json.dumps(found)
    (_, _, _), (_, alone, none), (_, again, rows) = asked  # the first task is trained once
    assert [name for name, *_ in asked] == ["sql", "glosses", "glosses"] and none is None
    assert all(torch.equal(p, again[name]) for name, p in alone.items()) and alone.popitem()[1].any()
    assert {row["system"] for row in rows} == {None, "Say sql."}


def test_the_kl_takes_time_and_says_how_much(tiny, monkeypatch):
    monkeypatch.setattr(cost, "WARM", 1)
    monkeypatch.setattr(cost, "TIMED", 3)
    found = {way: cost.run({"way": way}) for way in cost.WAYS}
    for each in found.values():
        assert each["seconds_per_step"] > 0 and each["peak_bytes"] > each["base_bytes"] > 0
    base, _ = training.fresh_base()
    assert found["alone"]["base_bytes"] == sum(p.nbytes for p in base.parameters())


def test_the_kl_holds_what_it_is_given(tiny, monkeypatch):
    """A property of the remedy: on the very rows, the adapter stays nearer to the base."""
    monkeypatch.setattr(training, "STEPS", 24)
    monkeypatch.setattr(ours, "SHARE", 0.25)
    found = {}
    for remedy in (NOTHING, "KL"):
        model, tokenizer = ours.trained(setting_for(remedy))
        rows = [encode(tokenizer, row, "") for row in ours.others(16)]
        found[remedy] = kl_to_silenced(model, ours.collate(rows, 2)).item()
    assert found["KL"] < found[NOTHING]
