"""Advice from end to end: three situations, what a court would change, what's refused, and what never happens."""

import json
import re
import shlex
from pathlib import Path

import pytest
from advice.shelves import cost, finished, hold_court, try_rates, write
from conftest import make_tiny_llama
from transformers import GPT2Config

from labkit import ConfigError, advise, simulate
from labkit.advice import cases
from labkit.advice.advising import _chosen
from labkit.advice.cases import Case
from labkit.advice.fitting import ROOM, Step, Way
from labkit.advice.rules_fitted import FITTED
from labkit.advice.situations import KINDS, situation
from labkit.advice.sources import Shelf
from labkit.cli import main
from labkit.cli.parser import _parser
from labkit.simulation.cards import card_named

GOLDEN = Path(__file__).parent / "golden"
CHEAP = {"tokens": 16, "labelled": 1}
TINY = make_tiny_llama(hidden_size=64, intermediate_size=64, max_position_embeddings=1024).config


@pytest.fixture(autouse=True)
def enough_memory(monkeypatch):
    monkeypatch.setattr(cases, "free_bytes", lambda device: 16 * 10**9)


@pytest.fixture
def shelf(tmp_path) -> Path:
    return finished(tmp_path / "data")


def masked(text: str) -> str:
    """The words without the numbers: those may change with a study."""
    return re.sub(r"\d+(?:[.,]\d+)*", "#", " ".join(text.replace("\\\n", " ").split()))


# ---- situations


SITUATIONS = {
    "course_base_classify": ("smollm2-135m", "cpu", "classify", 500),
    "8b_chat": ("llama-3-8b", "24 GB card", "chat", 5000),
    "70b_style": ("llama-3-70b", "48 GB card", "style", 300),
}


@pytest.mark.slow
@pytest.mark.parametrize("name", SITUATIONS)
def test_a_situation_is_answered_in_these_words(name, shelf):
    printed = str(advise(*SITUATIONS[name], data=shelf))
    assert masked(printed) == masked((GOLDEN / f"{name}.txt").read_text(encoding="utf-8"))
    assert max(map(len, printed.splitlines())) <= 96
    found = {line for line in printed.splitlines() if line.rstrip().endswith("=")}
    assert not found and not re.search(r"\n +(?:GB|MB|%|tokens|rows|= \d)", printed), "a number keeps its unit"
    command = re.search(r"As something to type\n((?:.*\\\n)*.*)\n", printed).group(1).replace("\\\n", " ")
    options, unknown = _parser().parse_known_args(shlex.split(command)[1:])
    assert not unknown and options.lr and options.steps
    assert options.base is None or options.base.endswith("-Instruct")


def test_what_is_assumed_is_said_beside_what_rests_on_it():
    """With rows of 60 tokens, a page for 512 would tell of hours that are minutes."""
    assumed, told, labels = (advise(TINY, rows=300, **given) for given in ({}, {"tokens": 16}, CHEAP))
    short, shorter = (re.search(r"\n  takes (.*?)\n\n", str(page), re.DOTALL).group(1) for page in (assumed, told))
    assert "Rows of 512 tokens are assumed" in " ".join(short.split()) and "assumed" not in shorter
    assert "for rows of the tokens assumed" in assumed["time"].why and "assumed" not in told["time"].why
    assert any("512 tokens are assumed, all of them answers" in line for line in assumed.unknown)
    assert "as if all were answers" in told["room in the adapter"].why
    assert "300 counted tokens" in labels["room in the adapter"].why


def test_a_card_named_by_its_size_is_said_to_be_assumed():
    """An A100 is a third as fast as an H100, and both have 80 GB."""
    found, named = (advise(TINY, card, rows=300, **CHEAP) for card in ("80 GB card", "A100, 80 GB"))
    assert "on H100, 80 GB (assumed)" in str(found.situation) and "A100, 80 GB (assumed)" not in str(named)
    assert any("the H100, 80 GB is taken, and A100, 80 GB would do" in line for line in found.unknown)
    assert not any("Which card" in line for line in named.unknown)


def test_help_says_what_each_kind_of_task_is(capsys):
    with pytest.raises(SystemExit):
        main(["advise", "--help"])
    shown = " ".join(capsys.readouterr().out.split())
    assert all(f"{name} ({kind.words})" in shown for name, kind in KINDS.items())


def test_facts_are_to_be_looked_up_and_nothing_is_trained():
    found = advise(TINY, task="facts", rows=20)
    assert not found.lines and not found.costs and not found.how and found.fits is None
    assert "retrieval" in str(found) and "arXiv 2312.05934" in str(found) and "Don't train for that" in str(found)


def test_a_few_rows_go_into_a_prompt_first_and_more_rows_dont():
    few, more = (advise(TINY, rows=rows, **CHEAP) for rows in (20, 500))
    assert "--shots" in few["first a prompt"].value and few["first a prompt"].source.mark == "❝"
    assert "--shots" in more["first a prompt"].value and more["first a prompt"].source.mark == "○"
    for found in (few, more):
        options, unknown = _parser().parse_known_args(shlex.split(found["first a prompt"].value)[1:])
        assert not unknown and options.shots == 8


def test_without_the_repositorys_data_there_are_citations_and_a_word_about_it(tmp_path):
    found = advise(data=tmp_path / "nowhere", task="classify", **CHEAP)
    assert found.unknown[0].startswith("None of the repository's stored results is here")
    assert {line.source.mark for line in found.lines} == {"❝", "○", "◇"}
    assert found["time"].text == "not known" and "results/train_step" in str(found["time"].source)


def test_json_has_every_line_with_its_source(shelf):
    found = advise(task="classify", data=shelf, **CHEAP)
    read = json.loads(json.dumps(found.as_dict()))
    assert [line["about"] for line in read["lines"]] == [line.about for line in found.lines]
    assert all(line["source"]["where"] and line["why"] for line in read["lines"])
    assert read["asked"]["card"] == "cpu" and read["unknown"] == found.unknown


@pytest.mark.parametrize("card, use", [("cpu", "either"), ("RTX 4090", "merge")])
def test_the_command_is_one_that_labkit_reads_and_has_every_choice_in_it(card, use):
    found = advise(TINY, card, rows=300, use=use, **CHEAP)
    for line in found.how.splitlines():
        options, unknown = _parser().parse_known_args(shlex.split(line)[1:])
        assert unknown == []
    train, _ = _parser().parse_known_args(shlex.split(found.how.splitlines()[0])[1:])
    assert (train.rank, train.alpha, train.targets) == (found["rank"].value, found["α"].value, "all-linear")
    assert (train.lr, train.batch_size) == (found["learning rate"].value, found["batch size"].value)
    assert train.steps == found["steps"].value and train.dtype == (None if card == "cpu" else "bfloat16")
    assert found.how.count("labkit merge") == (use == "merge")
    printed = re.sub(r" \\\n +", " ", str(found))
    assert all(line in printed for line in found.how.splitlines()), "a shell takes the printed lines for one"


# ---- memory and time


@pytest.mark.parametrize("card", ["cpu", "L4"])
def test_memory_is_the_simulators(card):
    found = advise(TINY, card, rows=300, **CHEAP)
    step = {"r": found["rank"].value, "batch_size": found["at once"].value, "sequence": 16, "labelled": 1}
    step |= {"device": "cpu", "dtype": "float32"} if card == "cpu" else {}
    assert found["peak memory"].value == simulate(TINY, "lora", **step).peak
    assert found["file"].value == simulate(TINY, "lora", **step).saved_bytes


def test_more_rows_never_take_fewer_minutes():
    rows = (1, 19, 20, 21, 79, 80, 127, 128, 129, 255, 256, 257, 511, 512, 513, 3001, 10_000)
    seconds = [advise(TINY, "A100", "chat", each, **CHEAP)["time"].value for each in rows]
    assert seconds == sorted(seconds) and seconds[0] < seconds[-1]


@pytest.mark.parametrize("stay_dense", [False, True])
def test_a_smaller_memory_never_takes_more(stay_dense):
    config = make_tiny_llama(hidden_size=256, intermediate_size=512, num_hidden_layers=8).config
    step = Step(config, r=8, batch=8, targets="all-linear", tokens=64, labelled=1.0, gpu=False, stay_dense=stay_dense)
    heaviest = step.cost(Way("lora", False, 8)).peak
    fits = [step.fit(int(heaviest * share / 20)) for share in range(30, 0, -1)]
    peaks = [fit.cost.peak for fit in fits]
    assert peaks == sorted(peaks, reverse=True) and len(set(peaks)) > 3
    for fit in fits:
        allowed = {"easy": ROOM * fit.memory, "tight": fit.memory, "none": float("inf")}[fit.room]
        assert fit.cost.peak <= allowed and (fit.room != "none" or fit.cost.peak > fit.memory)
    assert {fit.room for fit in fits} == {"easy", "tight", "none"}
    methods = list(dict.fromkeys((fit.way.method, fit.way.checkpointing) for fit in fits))
    assert methods[0] == ("lora", False) and methods[-1] == ("qlora", True)
    assert methods == [
        (way.method, way.checkpointing) for way in step.stages() if (way.method, way.checkpointing) in methods
    ]


def test_where_nothing_fits_thats_said_with_the_card_that_would(monkeypatch):
    monkeypatch.setattr(cases, "free_bytes", lambda device: 10**5)
    found = advise(TINY, **CHEAP)
    assert found.fits is False and "doesn't fit" in found["peak memory"].why
    assert "The RTX 4060, 8 GB would do." in found["peak memory"].why


def test_four_bits_are_chosen_with_the_bytes_that_16_would_take(monkeypatch):
    config = make_tiny_llama(hidden_size=256, intermediate_size=512, num_hidden_layers=8).config
    dense, again = (simulate(config, "lora", r=16, sequence=64, dtype="float32", device="cpu", checkpointing=each).peak
                    for each in (False, True))  # fmt: skip
    assert again < dense
    for peak, words in ((again, "so checkpointing would do, too"), (again - 10**5, "so neither leaves that room")):
        monkeypatch.setattr(cases, "free_bytes", lambda device, peak=peak: int(peak / ROOM) + 1)
        found = advise(config, rows=300, tokens=64)
        assert "QLoRA" in found["weights"].text
        assert words in found["weights"].says and f"{dense / 1e9:.1f} GB" in found["weights"].says
    assert found["full instead"].value > found["peak memory"].value


def test_a_large_model_begins_lower_and_no_rate_above_the_one_that_broke_is_suggested():
    for parameters in (1e9, 8e9, 3e10, 7e10):
        case = Case(situation(TINY, "A100", "style", 300, 16), Shelf())
        case.parameters = parameters
        case.chosen |= {"method": "lora", "rank": 16, "α": 32.0, "batch size": 8}
        case.fit = case.step().fit(case.memory)
        line = _chosen(FITTED, case)["learning rate"]
        suggested = [line.value, *map(float, re.findall(r"\de-\d", line.why))]
        if parameters >= 3e10:
            assert line.value == 1e-4 and max(suggested) == 3e-4 < 1e-3 and "1e-3 broke it" in line.says
        else:
            assert line.value == (1e-3 if parameters < 5e9 else 3e-4) and "broke" not in line.says


def test_only_what_was_compared_is_marked_so(shelf):
    lines = advise(task="classify", data=shelf, **CHEAP).lines
    marks = {line.about: line.source.mark for line in lines}
    assert [about for about, mark in marks.items() if mark == "▣"] == ["method", "learning rate", "afterwards"]
    for about in ("rank", "α", "batch size"):
        line = next(each for each in lines if each.about == about)
        assert line.source.short.startswith("used here, not compared with others") and line.source.mark == "○"
    assert marks["steps"] == "○"


def test_a_rank_grows_with_what_the_rows_may_say():
    small, large = (advise(TINY, "A100", rows=rows, tokens=16)["rank"] for rows in (100, 100_000))
    trained = simulate(TINY, "lora", r=1).trained
    assert small.value == 16 and large.value > 16 and "2 bits" in large.says
    assert large.value == 256 or 2 * large.value * trained >= 100_000 * 15 > large.value * trained


def test_more_than_an_adapter_can_hold_is_said():
    assert not any("2405.09673" in line for line in advise(TINY, "A100", **CHEAP).unknown)
    assert any("2405.09673" in line for line in advise(TINY, "A100", rows=10**8, tokens=16).unknown)


def test_a_card_without_a_known_peak_gets_no_time():
    assert advise(TINY, "RTX 3060", **CHEAP)["time"].value is None


# ---- a court that's finished


def test_without_a_better_one_its_lora_and_the_rate_is_the_courts(shelf):
    hold_court(shelf, worse=("ia3",))
    try_rates(shelf, {("lora", "glosses"): 3e-3, ("lora", "sql"): 3e-4})
    cost(shelf)
    found = advise(task="classify", data=shelf, **CHEAP)
    assert found["method"].value == "lora" and "0 better, 1 worse, 12 can't tell" in found["method"].says
    assert (found["learning rate"].value, found["batch size"].value) == (3e-3, 8)
    assert advise(task="code", data=shelf, **CHEAP)["learning rate"].value == 3e-4
    both = advise(task="style", data=shelf, **CHEAP)["learning rate"]
    assert both.value == 3e-4 and "3e-3 on glosses" in both.says
    assert not any("another method beats LoRA" in line for line in found.unknown)
    assert "LoRA got 50 % (mean of 3 seeds) (▣ court, 2026-12-24)" in found["first a classifier"].says
    assert found["learning rate"].date == "2026-12-24"


def test_a_better_method_at_a_bearable_cost_is_recommended_with_its_settings_and_its_rate(shelf):
    hold_court(shelf, better=("rslora",))
    try_rates(shelf, {("rslora", "sql"): 3e-4})
    cost(shelf)
    found = advise(task="code", data=shelf, **CHEAP)
    assert (found["method"].value, found["rank"].value, found["α"].value) == ("rslora", 64, 16)
    assert found["learning rate"].value == 3e-4 and "better by 40.0 points" in found["method"].says
    assert found.how.startswith('trained = labkit.adapt(model, "rslora", r=64, lora_alpha=16)')
    other = advise(TINY, task="code", data=shelf, **CHEAP)
    assert other["method"].value == "lora", "a verdict over the course's base says nothing of another"


@pytest.mark.parametrize(
    ("method", "changed", "use", "reason"),
    [
        ("dora", {"seconds_a_step": 2.0}, "either", "it takes 2.0 times LoRA's time per step"),
        ("dora", {"measured_peak_bytes": 3 * 10**9}, "either", "it takes 3.0 times LoRA's peak memory"),
        ("full", {"file_bytes": 5 * 10**8}, "swap", "what it leaves has 500 MB"),
        ("bottleneck", {"latency": {"apart": {}, "merged": None}}, "merge", "it can't be merged"),
    ],
)
def test_a_better_method_thats_too_dear_is_named_with_the_reason(method, changed, use, reason, shelf):
    hold_court(shelf, better=(method,))
    try_rates(shelf, {})
    cost(shelf, **{method: changed})
    line = advise(task="code", data=shelf, use=use, **CHEAP)["method"]
    assert line.value == "lora" and reason in line.says


def test_a_better_method_whose_cost_isnt_measured_waits(shelf):
    hold_court(shelf, better=("dora",))
    line = advise(task="code", data=shelf, **CHEAP)["method"]
    assert line.value == "lora" and "what it costs and its best rate aren't both stored yet" in line.says


def test_a_rank_or_layers_that_scored_better_are_recommended_and_else_the_usual_ones(shelf):
    def judged(name: str, against, settings: dict, better=None) -> None:
        difference = {"mean": 0.1, "low": 0.05, "high": 0.15}
        verdicts = [
            {"task": "sql", "name": each, "against": against, "difference": difference,
             "verdict": "better" if each == better else "can't tell"}
            for each in settings if each != against
        ]  # fmt: skip
        runs = [
            {"method": "lora", "task": "sql", "name": each, "settings": settings[each], "learning_rate": 5e-3}
            for each in settings
        ]
        write(shelf, name, {"verdicts": verdicts, "runs": [{"method": "base", "task": "sql", "name": "base"}, *runs]})

    ranks = {r: {"r": r, "lora_alpha": 2 * r} for r in (1, 8, 16)}
    mlp = ["gate_proj", "up_proj", "down_proj"]
    layers = {"MLP": {"r": 13, "lora_alpha": 26, "target_modules": mlp}, "all-linear": {"r": 8, "lora_alpha": 16}}
    judged("choices_rank", 8, ranks)
    judged("choices_targets", "all-linear", layers)
    found = advise(task="code", data=shelf, **CHEAP)
    assert (found["rank"].value, found["α"].value, found["layers"].value) == (8, 16, "all-linear")
    assert "r = 1 can't tell, 16 can't tell" in found["rank"].says and "MLP can't tell" in found["layers"].says
    assert not any("the rank" in line or "layers" in line for line in found.unknown)
    judged("choices_rank", 8, ranks, better=16)
    found = advise(task="code", data=shelf, **CHEAP)
    assert (found["rank"].value, found["α"].value, found["learning rate"].value) == (16, 32, 5e-3)
    judged("choices_targets", "all-linear", layers, better="MLP")
    found = advise(task="code", data=shelf, **CHEAP)
    assert (found["rank"].value, found["α"].value, found["layers"].value) == (13, 26, ",".join(mlp))
    assert found["learning rate"].value == 5e-3 and "scored with 5e-3 on sql" in found["learning rate"].says
    step = {"r": 13, "target_modules": mlp, "batch_size": 4, "sequence": 16, "labelled": 1}
    assert found["peak memory"].value == simulate("smollm2-135m", dtype="float32", device="cpu", **step).peak
    assert found["layers"].date == "2026-12-24"


def test_a_result_in_another_form_is_one_sentence(shelf):
    write(shelf, "court", {"verdicts": [{"task": "sql"}]})
    with pytest.raises(ConfigError, match=r"data/results/court.json isn't in the form .*python -m studies.court$"):
        advise(data=shelf, **CHEAP)


# ---- what's refused


@pytest.mark.parametrize(
    ("asked", "message"),
    [
        ({"rows": 0}, "rows must be a whole number from 1 to .*, got 0"),
        ({"rows": 2.5}, "rows must be a whole number"),
        ({"rows": True}, "rows must be a whole number"),
        ({"tokens": 1}, "tokens must be a whole number from 2"),
        ({"labelled": 0.0}, "labelled must be a share"),
        ({"card": "abacus"}, "no card is known as 'abacus'; known are cpu; RTX 4060, 8 GB"),
        ({"card": ""}, "no card is known as ''"),
        ({"task": "poetry"}, r"task='poetry' isn't known; known are classify \(a label for each text\)"),
        ({"use": "eaten"}, r"use='eaten' isn't known; known are either"),
        ({"model": "llama-9"}, "no model is known as 'llama-9'"),
        ({"model": GPT2Config(n_layer=2, n_embd=32, n_head=2), "tokens": 16}, "'gpt2' has no linear layers"),
        ({"tokens": 10_000}, "a sequence of 10,000 tokens is longer"),
    ],
)
def test_nonsense_is_refused_in_a_sentence(asked, message):
    with pytest.raises(ConfigError, match=message):
        advise(**({"model": TINY} | asked))


def test_the_command_prints_the_same_page_and_its_json(capsys, tmp_path):
    TINY.save_pretrained(tmp_path)
    asked = ["advise", str(tmp_path), "--rows=300", "--seq=16", "--labelled=1", "--card=A100", "--merged"]
    assert main(asked) == 0
    found = advise(tmp_path, "A100", rows=300, use="merge", **CHEAP)
    assert capsys.readouterr().out == f"{found}\n"
    assert main([*asked, "--json"]) == 0
    assert json.loads(capsys.readouterr().out) == json.loads(json.dumps(found.as_dict()))


def test_the_card_is_found_as_people_say_it():
    assert advise(TINY, "24 GB card", **CHEAP).situation.card == card_named("24 GB")
