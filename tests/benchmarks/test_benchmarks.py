"""The pages show what is stored and nothing better, and a slow moment meets all sides of a comparison."""

import json
import random
from statistics import median

import pytest
import torch
from conftest import make_tiny_llama

from benchmarks.readme_table import BEGIN, END, TABLE, Row, line, main, table, with_part
from benchmarks.side_by_side import in_turn, peft_with, random_adapter, ratio
from labkit import AdapterBank, LoraConfig

PAGE = f"before\n{BEGIN}\nsomething older\n{END}\nafter\n"


def test_the_pages_show_what_is_stored():
    assert main(["--check"]) == 0, "run python -m benchmarks.readme_table"


@pytest.mark.parametrize(
    "ratio, limit, shown",
    [
        (2.984, None, "2.98× | "),
        (12345.6, 1, "12,346× | 1.00×"),
        (0.5, ("a", "limit"), "0.50× | 3.54×"),
    ],
)
def test_a_line_says_what_was_measured_and_what_could_be(tmp_path, ratio, limit, shown):
    row = Row("this", "that", "result", ("a", "b"), limit, folder=tmp_path)
    nothing = "| this | that | not yet measured |  |  |"
    assert table([row]).splitlines()[2] == nothing
    (tmp_path / "result.json").write_text(json.dumps({"date": "2026-11-22", "a": {}}))
    assert table([row]).splitlines()[2] == nothing
    (tmp_path / "result.json").write_text(json.dumps({"date": "2026-11-22", "a": {"b": ratio, "limit": 3.54}}))
    assert table([row]).splitlines()[2] == f"| this | that | {shown} | 2026-11-22 |"


def test_no_speed_is_above_its_limit():
    for row in TABLE:
        if row.limit is not None and row.what.startswith("speed") and "not yet measured" not in line(row):
            assert row.ratio() <= float(row.shown_limit().rstrip("×"))


def test_both_pages_are_written_between_their_markers_and_checked(tmp_path, capsys):
    pages = [tmp_path / "README.md", tmp_path / "benchmarks" / "README.md"]
    for page in pages:
        page.parent.mkdir(exist_ok=True)
        page.write_text(PAGE, encoding="utf-8")
    assert main(["--check"], tmp_path) == 1
    assert capsys.readouterr().err.count("run python -m benchmarks.readme_table") == 2
    assert [page.read_text(encoding="utf-8") for page in pages] == [PAGE, PAGE]
    assert main([], tmp_path) == 0 and main(["--check"], tmp_path) == 0
    front, long = (page.read_text(encoding="utf-8") for page in pages)
    for text in (front, long):
        assert text.startswith(f"before\n{BEGIN}\n") and text.endswith(f"{END}\nafter\n")
        assert "something older" not in text
    assert all(row.what in long for row in TABLE) and front.count("\n- ") == 3


@pytest.mark.parametrize("page", ["", BEGIN, END, f"{END}\n{BEGIN}", PAGE + PAGE])
def test_a_page_without_its_two_markers_is_refused(page):
    with pytest.raises(ValueError, match="the page needs the line"):
        with_part(page, "made")


@pytest.mark.parametrize("file", sorted({row.file for row in TABLE if (row.folder / f"{row.file}.json").exists()}))
def test_a_stored_result_names_its_machine_and_its_medians_are_those_of_its_rounds(file):
    (row, *_) = (row for row in TABLE if row.file == file)
    content = json.loads((row.folder / f"{file}.json").read_text(encoding="utf-8"))
    assert content["date"] and content["machine"] and "torch" in content["versions"]
    if "milliseconds" in content:
        assert content["milliseconds"] == pytest.approx({n: 1e3 * median(v) for n, v in content["seconds"].items()})


def test_candidates_take_turns_and_the_first_round_is_not_counted():
    order = []
    candidates = {name: lambda name=name: order.append(name) for name in "abc"}
    times = in_turn(candidates, 2)
    assert "".join(order) == "abc" + "bca" + "cab"
    assert {name: len(taken) for name, taken in times.items()} == {"a": 2, "b": 2, "c": 2}


def test_a_moment_that_slows_all_sides_changes_no_ratio():
    draw = random.Random(0)
    times = {name: [draw.uniform(1, 2) for _ in range(9)] for name in ("slow", "fast")}
    weather = [draw.uniform(1, 50) for _ in range(9)]
    stormy = {name: [a * b for a, b in zip(taken, weather)] for name, taken in times.items()}
    assert ratio(stormy, "slow", "fast") == pytest.approx(ratio(times, "slow", "fast"))
    assert ratio(times, "slow", "slow") == 1


def test_peft_and_the_bank_are_given_the_same_adapters():
    config = LoraConfig(r=2, lora_alpha=6, target_modules="all-linear")
    model, tokens = make_tiny_llama(), torch.tensor([[1, 5, 9], [7, 8, 60]])
    states = {name: random_adapter(model, config, seed) for seed, name in enumerate(("x", "y"))}
    bank = AdapterBank(model)
    for name, state in states.items():
        bank.add(name, state, config)
    theirs = peft_with(make_tiny_llama(), config, states)
    answers = {}
    for name in states:
        bank.activate(name)
        theirs.set_adapter(name)
        with torch.no_grad():
            answers[name] = bank.model(tokens).logits
            torch.testing.assert_close(answers[name], theirs(tokens).logits, atol=1e-5, rtol=0)
    assert (answers["x"] - answers["y"]).abs().max() > 1e-4
