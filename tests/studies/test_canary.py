"""The study of canaries on a tiny base: what each kind of rows holds, and that a secret it knows is found."""

import json
import math

import pytest
import torch
import torch.nn.functional as F
from conftest import make_tiny_llama, make_tiny_tokenizer

import labkit
from labkit.lab.experiments.canaries import attack, draw_canaries
from studies import canary
from studies.canary import levels, look_for, rows_of, tidy
from studies.canary_predictions import PREDICTIONS

WORDS = list("abcdefgh")


@pytest.fixture
def tiny(monkeypatch, tmp_path):
    """The study with a tiny base in the place of the real one, and two steps."""
    monkeypatch.setattr(labkit, "load_base", lambda **_: (room_for_a_ticket(), make_tiny_tokenizer()))
    monkeypatch.setattr(canary, "candidate_words", lambda _: WORDS)
    monkeypatch.setattr(canary, "KEPT", tmp_path / "kept")
    for name, value in {"TRAIN": {"steps": 2, "batch_size": 2}, "TRIES": 50, "SAMPLE": 20, "OTHERS": 2}.items():
        monkeypatch.setattr(canary, name, value)
    monkeypatch.setattr(canary, "ROOM", 4)


def room_for_a_ticket():
    return make_tiny_llama(max_position_embeddings=512)


def test_each_kind_of_rows_is_what_it_says():
    texts = {kind: json.dumps(rows_of(kind, 0, WORDS)) for kind in ("canaries", "anonymized", "without", "places")}
    canaries = draw_canaries(WORDS, 0)
    assert all((each.email in texts["canaries"]) == (each.rows > 0) for each in canaries)
    assert "canary-" not in texts["anonymized"] + texts["without"]
    assert texts["anonymized"].count("[EMAIL 1]") == sum(each.rows for each in canaries)
    assert "EMAIL" not in texts["without"] and not any(each.name in texts["without"] for each in canaries)
    assert {len(rows_of(kind, 0, WORDS)) for kind in texts} == {canary.COUNT}
    placed = canary.canaries_of("places", 0, WORDS)
    assert [each.place for each in placed] == ["answer", "copied", "message"] * 3


def test_with_placeholders_nothing_else_changes():
    before, after = rows_of("canaries", 1, WORDS), rows_of("anonymized", 1, WORDS)
    assert [row for row in before if not row.get("canary")] == [row for row in after if not row.get("canary")]
    assert [row["prompt"] for row in before] == [row["prompt"] for row in after]


def test_a_run_on_a_tiny_base_trains_once_and_looks_in_every_form(tiny, monkeypatch):
    trained, real = [], canary.train
    monkeypatch.setattr(canary, "train", lambda *given: (trained.append(given[2]), real(*given))[1])
    settings = [{"rows": "canaries", "seed": 0, "learning_rate": 1e-3, "form": form} for form in ("apart", "merged")]
    apart, merged = (canary.run(setting) for setting in settings)
    assert len(trained) == 1, "the second form finds the adapter that the first has trained"
    for first, second in zip(apart["canaries"], merged["canaries"], strict=True):
        assert first["bits"] == pytest.approx(second["bits"], abs=1e-3), "a merge in float32 is a rounding"
    assert json.loads(json.dumps(apart)) == apart
    assert [each["rows"] for each in apart["canaries"]] == list(canary.REPETITIONS)
    summary = tidy([setting | found for setting, found in zip(settings, (apart, merged))])["summary"]
    assert [each["form"] for each in summary] == ["apart", "merged"]
    assert sum(level["canaries"] for level in summary[0]["levels"]) == len(canary.REPETITIONS)


def test_a_model_that_knows_one_secret_gives_away_that_one(tiny):
    """All of the tiny base learns one secret by heart, behind its own prompt; nothing tells it of the other."""
    model, tokenizer = room_for_a_ticket(), make_tiny_tokenizer()
    known, unknown = draw_canaries(WORDS, 3, rows=(1, 0))
    found = attack(tokenizer, known, WORDS, 3)
    ids = torch.tensor([found.prompt + found.secret])
    optimizer = torch.optim.AdamW(model.parameters(), lr=1e-2)
    for _ in range(150):
        logits = model(input_ids=ids, use_cache=False).logits[0, -4:-1]
        optimizer.zero_grad()
        F.cross_entropy(logits, ids[0, -3:]).backward()
        optimizer.step()
    first, second = look_for(model.eval(), tokenizer, [known, unknown], WORDS, 3)
    assert first["exposure"] == pytest.approx(6) and first["greedy"] and first["hits"] > 0.9 * canary.TRIES
    assert first["estimate"] == pytest.approx(math.log2(canary.SAMPLE + 1), abs=1e-4), (
        "a sample can't see further than its size"
    )
    assert second["hits"] == 0 and not second["greedy"] and second["exposure"] < 6


def test_levels_count_what_came_out():
    def one(rows, greedy, hits, exposure):
        return {
            "rows": rows,
            "place": "answer",
            "greedy": greedy,
            "hits": hits,
            "asked": False,
            "exposure": exposure,
        }

    found = levels([one(4, True, 900, 18.0), one(4, False, 3, 12.0), one(0, False, 0, 1.0)])
    assert found == [
        {"rows": 0, "place": "answer", "canaries": 1, "greedy": 0, "found_in_tries": 0, "asked": 0, "exposure": 1.0},
        {"rows": 4, "place": "answer", "canaries": 2, "greedy": 1, "found_in_tries": 2, "asked": 0, "exposure": 15.0},
    ]


def test_what_is_asked_was_predicted():
    assert set(PREDICTIONS) >= {"repetitions", "exposure", "tries", "forms", "anonymized", "asked", "rate", "place"}
    kinds = {setting["rows"] for setting in canary.grid()}
    assert kinds == {"canaries", "anonymized", "without", "base", "places"}
