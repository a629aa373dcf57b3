"""What holds for the stored rows of every task of the course."""

import re

import pytest

from labkit import ConfigError, load_task
from labkit.tasks import GENERATED, TASKS
from labkit.tasks.make_data import SIZES, as_jsonl, splits


@pytest.fixture(params=TASKS)
def task(request):
    return load_task(request.param)


@pytest.fixture(params=GENERATED)
def generated(request):
    return load_task(request.param)


def test_stored_files_are_what_the_generator_makes(generated):
    task, made = generated, splits(generated)
    for split in SIZES:
        assert task.files[split].read_bytes() == as_jsonl(made[split]).encode()


def test_generated_splits_have_the_sizes_they_should(generated):
    assert {split: len(generated.rows(split)) for split in generated.files} == SIZES


def test_what_no_generator_makes_is_refused():
    with pytest.raises(ConfigError, match="no generator makes the rows of glosses: its data card says"):
        splits(load_task("glosses"))


def test_splits_share_no_prompt_and_the_test_split_is_large_enough(task):
    prompts = [prompt for split in SIZES for prompt in task.rows(split)["prompt"]]
    assert len(set(prompts)) == len(prompts) and len(task.rows("test")) >= 200


def test_every_stored_answer_is_one_line_and_has_full_marks(task):
    for split in SIZES:
        for row in task.rows(split):
            assert "\n" not in row["completion"]
            assert set(task.score(row["completion"], row).values()) == {1.0}, row


def test_the_prompt_is_no_answer_and_nor_is_nothing(task):
    for row in task.rows("test"):
        for answer in ("", " ", row["prompt"]):
            assert next(iter(task.score(answer, row).values())) == 0.0


def test_the_card_says_what_the_data_is(task):
    card = (task.files["train"].parent / "README.md").read_text(encoding="utf-8")
    for split in SIZES:
        size = f"{len(task.rows(split)):,}"
        assert re.search(rf"`{split}\.jsonl` \| {size} \|", card)
    row = task.rows("train")[0]
    metrics = {**task.score("", row), **(task.summary([""], [row]) if task.summary else {})}
    for word in ("## Limits", "## Licen", task.system):
        assert word in card
    if task.name in GENERATED:
        for word in ("MIT", "invented", f"python -m labkit.tasks.make_data {task.name}"):
            assert word in card
    for metric in metrics:
        assert f"`{metric}`" in card


def test_a_split_that_is_not_there_is_refused(task):
    with pytest.raises(ConfigError, match=f"{task.name} has no split 'dev'; it has train, validation, test"):
        task.rows("dev")
