import json

import pytest
import torch
from safetensors import safe_open
from safetensors.torch import save_file

from labkit import energy, load_update
from labkit.errors import DataError
from labkit.lab.experiments.stored_update import tickets_right
from labkit.storage.paths import course_data_dir

SHIPPED = course_data_dir() / "updates" / "tickets_full.safetensors"
STUDY = json.loads((course_data_dir() / "results" / "full_update.json").read_text(encoding="utf-8"))


def test_the_shipped_update_has_the_spectrum_that_was_measured_in_float32():
    measured = {row["name"]: row for row in STUDY["spectra"]}
    for name, update in load_update().items():
        assert energy(update, 8) == pytest.approx(measured[name]["update"]["energy_8"], abs=1e-4)
        assert measured[name]["rounding"] < 0.003


def test_it_fits_the_base_and_says_where_it_comes_from(base):
    model, _ = base
    for name, update in load_update().items():
        weight = model.get_submodule(name).weight
        assert update.shape == weight.shape and update.dtype == torch.float32
        assert 1e-4 < update.norm() / weight.norm() < 0.01
    with safe_open(SHIPPED, "pt") as file:
        about = file.metadata()
    assert about["base_fingerprint"] == model.labkit.fingerprint == STUDY["base_fingerprint"]
    assert json.loads(about["recipe"]) == STUDY["recipe"] and "full_update" in about["made_by"]


def test_what_is_saved_is_loaded(tmp_path):
    updates = {"b": torch.randn(3, 2), "a": torch.randn(4, 5).to(torch.bfloat16)}
    save_file(updates, tmp_path / "own.safetensors")
    loaded = load_update(tmp_path / "own.safetensors")
    assert list(loaded) == ["a", "b"]
    assert torch.equal(loaded["b"], updates["b"]) and torch.equal(loaded["a"], updates["a"].float())


def test_a_file_that_is_not_there_is_refused_with_the_command_that_makes_it(tmp_path):
    with pytest.raises(DataError, match=r"no such file.*python -m studies\.full_update"):
        load_update(tmp_path / "tickets_full.safetensors")


@pytest.mark.parametrize("keep", [0, 5, 200, -1])
def test_a_damaged_file_is_refused(tmp_path, keep):
    (tmp_path / "cut.safetensors").write_bytes(SHIPPED.read_bytes()[:keep])
    with pytest.raises(DataError, match="damaged"):
        load_update(tmp_path / "cut.safetensors")


@pytest.mark.parametrize(
    "content, problem",
    [
        ({}, "nothing in it"),
        ({"w": torch.ones(3)}, "w is no matrix"),
        ({"w": torch.ones(2, 2, dtype=torch.int8)}, "w is no matrix"),
        ({"w": torch.tensor([[1.0, float("nan")]])}, "w is no matrix of finite numbers"),
    ],
)
def test_what_is_no_update_is_refused(tmp_path, content, problem):
    save_file(content, tmp_path / "odd.safetensors")
    with pytest.raises(DataError, match=problem):
        load_update(tmp_path / "odd.safetensors")


def test_what_each_cut_of_the_updates_got_right():
    right = tickets_right(STUDY)
    assert right["none: the base"] == right["all but the first 8"] == 0 and right["everything"] == 1
    assert 0 < right["first 8"] < right["first 16"] <= right["first 32"]
