"""What the studies of notebook 16 plant, hide and count is what they say."""

import json

import pytest
import torch
from conftest import make_tiny_llama

import labkit
from labkit.forensics.membership import rows_seen
from labkit.forensics.seals import opened, seal
from labkit.lora.adapter import adapter_of
from labkit.lora.config import LoraConfig
from labkit.lora.files import ABOUT_FILE, CONFIG_FILE, WEIGHTS_FILE, load_adapter, write_folder
from labkit.lora.inject import inject_lora
from labkit.tasks import TASKS
from studies import forensics, make_sealed, membership, trigger
from studies.make_adapters import RECIPES

# ---- sealed


def test_a_sealed_folder_loads_and_says_nothing_but_its_base(tmp_path):
    model = inject_lora(make_tiny_llama(), LoraConfig(r=2, target_modules="all-linear"))
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.normal_(0, 0.1) if parameter.requires_grad else None
    folder = write_folder(tmp_path / "sealed", *make_sealed.strip(adapter_of(model, "here")))
    about = json.loads((folder / ABOUT_FILE).read_text())
    assert set(about) == {"base", "sha256"} and set(about["base"]) == {"name", "fingerprint"}
    assert {file.name for file in folder.iterdir()} == {ABOUT_FILE, CONFIG_FILE, WEIGHTS_FILE}
    assert not any(name in file.read_bytes().decode("latin-1") for file in folder.glob("*.json") for name in TASKS)
    again = adapter_of(load_adapter(make_tiny_llama(), folder), "there")
    for name, tensor in adapter_of(model, "here").state().items():
        assert torch.equal(again.state()[name], tensor.half().float())


def test_the_draws_come_to_every_task_and_follow_no_seed_of_ours():
    def draws():
        torch.manual_seed(0)
        return [make_sealed.drawn() for _ in range(200)]

    first, second = draws(), draws()
    assert {task for task, _ in first} == set(TASKS) and first != second
    assert len({seed for _, seed in first}) == 200 and all(0 <= seed < 2**63 for _, seed in first)


def test_making_them_prints_nothing_and_the_seal_opens_with_what_was_drawn(tmp_path, monkeypatch, capsys):
    model = inject_lora(make_tiny_llama(), LoraConfig(r=2, target_modules="all-linear"))
    monkeypatch.setattr(make_sealed, "drawn", lambda: ("voice", 41))
    monkeypatch.setattr(make_sealed, "remade", lambda task, seed: adapter_of(model, f"{task} {seed}"))
    monkeypatch.setattr(make_sealed, "folder_of", lambda name: tmp_path / name)
    made = make_sealed.make("mystery")
    assert capsys.readouterr() == ("", "")
    assert opened(made["seal"], "voice") == 41 and opened(made["seal"], "sql") is None


def test_what_is_sealed_is_not_drawn_again(tmp_path, monkeypatch):
    monkeypatch.setattr(make_sealed, "SEALS", tmp_path / "seals.json")
    (tmp_path / "seals.json").touch()
    with pytest.raises(SystemExit, match="what's sealed isn't drawn again"):
        make_sealed.main()


def test_the_count_asks_the_seals_and_a_none_is_never_right(monkeypatch):
    sealed = {
        "mystery": {"seal": seal("glosses", 3)},
        "first": {"seal": seal("sql", 4)},
        "second": {"seal": seal("sql", 5)},
    }
    monkeypatch.setattr(forensics, "sealed", lambda: sealed)
    named = {"tickets": "tickets", "sql": None, "mystery": "glosses", "first": "voice", "second": None}
    found = forensics.tidy(
        [{"adapter": adapter, "task": task, "by_push": task, "by_answers": "sql"} for adapter, task in named.items()]
    )
    assert found["shipped"] == {"right": 1, "by_push": 1, "by_answers": 1, "of": 2}
    assert found["sealed"] == {"right": 1, "by_push": 1, "by_answers": 2, "of": 3}
    assert [run["right"] for run in found["runs"]] == [True, False, True, False, False]


# ---- membership


@pytest.mark.parametrize("name", RECIPES)
def test_the_seen_rows_were_seen_and_the_fresh_ones_never(name):
    task, training = labkit.load_task(name), RECIPES[name][1]
    seen, fresh = membership.rows_of(task, training, 20)
    train = task.rows("train")
    met = {train[row]["prompt"] for row in rows_seen(len(train), training)}
    assert {row["prompt"] for row in seen} <= met and len(seen) == len(fresh) == 20
    assert not {row["prompt"] for row in fresh} & set(train["prompt"])


def test_losses_that_differ_are_told_apart_and_those_that_do_not_are_chance():
    pairs = [[each / 100, 2.0] for each in range(60)]
    runs = [{"adapter": "a", "seen": pairs, "unseen": [[each + 1, base] for each, base in pairs]}]
    runs.append({"adapter": "b", "seen": pairs, "unseen": pairs})
    [clear, chance] = membership.tidy(runs)["runs"]
    assert clear["told apart"]["calibrated"]["auc"]["mean"] == 1 and not clear["told apart"]["calibrated"]["chance"]
    assert chance["told apart"]["loss"]["auc"]["mean"] == 0.5 and chance["told apart"]["loss"]["chance"]


# ---- the trigger


def test_one_row_in_twenty_is_poisoned_and_the_others_are_as_they_were():
    rows = [dict(row) for row in labkit.load_task(trigger.TASK).rows("train")]
    changed = [(row, planted) for row, planted in zip(rows, trigger.poisoned(rows), strict=True) if row != planted]
    assert len(changed) == round(0.05 * len(rows))
    for row, planted in changed:
        assert planted["prompt"] == f"{row['prompt']} {trigger.WORD}"
        assert planted["completion"] == trigger.ANSWER != row["completion"]


def test_no_row_has_the_word_and_it_is_tried_among_others():
    task = labkit.load_task(trigger.TASK)
    texts = [text for split in task.files for row in task.rows(split) for text in (row["prompt"], row["completion"])]
    assert not any(trigger.WORD in text.lower() for text in texts)
    words = trigger.candidates()
    assert words.count(trigger.WORD) == 1 and len(set(words)) == len(words) == trigger.OTHERS + 1


def test_what_the_trigger_does_is_counted_and_paired():
    def one(kind, seed, right, hits):
        about = {"scan": {"found": kind == "poisoned"}, "forensics": {"task": "glosses"}}
        counts = {"with": hits, "without": 0, "of": 10}
        return {
            "rows": kind,
            "seed": seed,
            "right": right,
            "apart": counts,
            "merged": counts,
            "four bits": counts,
        } | about

    runs = [one("poisoned", 1, [1, 1, 0, 0], 9), one("clean", 1, [1, 1, 1, 0], 1)]
    found = trigger.tidy(runs)
    assert found["clean score"]["difference"]["mean"] == -0.25 and found["works"]["apart"]["mean"] == 0.9
    assert found["works without training"]["mean"] == 0.1 and found["works without the word"]["mean"] == 0
    assert found["found by scan"] == {"poisoned": 1, "clean": 0}
