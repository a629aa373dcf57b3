import math
import re

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from labkit.errors import ClaimFailed, ConfigError
from labkit.lab.claims import APPROX_PATTERN, MARKS, approx, claim

UNITS = ["", "%", "s", "ms", "MB", "GB", "×", "tokens/s"]


@pytest.mark.parametrize(
    "value, unit, text",
    [
        (460_800 / 134_515_008, "%", "≈0.34 %"),
        (1.31, "s", "≈1.3 s"),
        (538_060_032, "MB", "≈538 MB"),
        (42.9e9, "GB", "≈42.9 GB"),
        (3.68, "×", "≈3.7×"),
        (9.96, "", "≈10.0"),
        (1234.5, "tokens/s", "≈1,230 tokens/s"),
        (1.19e-7, "", "≈1.2e-7"),
        (-0.5, "", "≈-0.50"),
        (0.0, "", "≈0"),
        (7, "epochs", "≈7.0 epochs"),
        (math.nan, "", "nan"),
        (-math.inf, "s", "-inf"),
    ],
)
def test_approx(value, unit, text):
    assert approx(value, unit) == text
    assert approx(torch.tensor(value, dtype=torch.float64), unit) == text


@given(st.floats(allow_nan=False, allow_infinity=False) | st.integers(-(10**300), 10**300), st.sampled_from(UNITS))
def test_the_sanitize_pattern_takes_whatever_approx_prints(value, unit):
    shown = approx(value, unit)
    assert re.fullmatch(APPROX_PATTERN, shown)
    # in a table, however wide the column, and whatever follows
    assert re.sub(APPROX_PATTERN, "~", f"speed {shown:>30} | {shown:<30} |") == "speed~|~|"


@given(st.floats(1e-9, 1e15))
def test_approx_is_within_half_a_unit_of_its_last_digit(value):
    assert float(approx(value)[1:].replace(",", "")) == pytest.approx(value, rel=0.051)


def test_a_unit_that_begins_like_another_is_left_whole():
    assert re.sub(APPROX_PATTERN, "~", "≈12 steps") == "~steps"
    assert re.sub(APPROX_PATTERN, "~", "took ≈12 s, then ≈3 MB") == "took~, then~"


@pytest.mark.parametrize(
    "arguments, line",
    [
        (dict(value=True), "✔ it"),
        (dict(value=torch.tensor(True)), "✔ it"),
        (dict(value=np.bool_(True)), "✔ it"),
        (dict(value=False, equals=False), "✔ it"),
        (dict(value=921_600, equals=921_600), "✔ it: 921,600"),
        (dict(value=0.5, equals=0.5, unit="%"), "✔ it: 50 %"),
        (dict(value=4.127, equals=4.127, unit="bits"), "✔ it: 4.127 bits"),
        (dict(value=["q", "v"], equals=["q", "v"]), "✔ it: ['q', 'v']"),
        (dict(value=0.0034, below=0.005, unit="%"), "✔ it: ≈0.34 %"),
        (dict(value=2.0, above=1, below=3, unit="×"), "✔ it: ≈2.0×"),
        (dict(value=torch.tensor([0.74]), within=(0.74, 0.01)), "✔ it: ≈0.74"),
        (dict(value=np.float32(0), below=1e-6), "✔ it: ≈0"),
    ],
)
def test_what_holds_is_printed(arguments, line, capsys):
    assert claim("it", **arguments) is None
    assert capsys.readouterr().out == line + "\n"


@pytest.mark.parametrize(
    "arguments, message",
    [
        (dict(value=False), r"it: measured False, but it should be true"),
        (dict(value=3, equals=4), r"measured 3, but it should be exactly 4"),
        (dict(value=0.0061, below=0.005, unit="%"), r"measured 0\.61 %, but it should be below 0\.5 %"),
        (dict(value=1.0, above=1.0), r"measured 1, but it should be above 1"),
        (dict(value=5e9, above=1e9, below=2e9, unit="GB"), r"measured 5 GB, but it should be below 2 GB"),
        (dict(value=0.8, within=(0.7, 0.05)), r"measured 0\.8, but it should be within 0\.05 of 0\.7"),
    ],
)
def test_what_does_not_hold_is_raised_with_value_and_bound(arguments, message, capsys):
    with pytest.raises(ClaimFailed, match=message):
        claim("it", **arguments)
    assert not capsys.readouterr().out


@pytest.mark.parametrize("bound", [dict(below=1), dict(above=1), dict(within=(1, 1e300)), dict(equals=math.nan)])
def test_nan_never_passes(bound):
    for value in (math.nan, torch.tensor(math.nan), np.float64("nan")):
        with pytest.raises(ClaimFailed, match="nan"):
            claim("it", value, **bound)


@pytest.mark.parametrize(
    "arguments, message",
    [
        (dict(value=0.5), "cannot fail"),
        (dict(value=921_600), "cannot fail"),
        (dict(value=0.5, below=math.inf), "finite"),
        (dict(value=0.5, below=1, equals=0.5), "choose one"),
        (dict(value=True, above=0), "truth value"),
        (dict(value="a", below=1), "only a number"),
        (dict(value=torch.ones(2), equals=1), r"shape \(2,\)"),
        (dict(value=1, equals=np.ones(3)), r"shape \(3,\)"),
    ],
)
def test_a_claim_that_claims_nothing_is_refused(arguments, message):
    with pytest.raises(ConfigError, match=message):
        claim("it", **arguments)


def test_numbers_stated_for_the_default_base_do_not_bind_another(monkeypatch, capsys):
    monkeypatch.setenv("LABKIT_BASE", "someone/another-model")
    claim("parameters", 7, equals=134_515_008)
    claim("share trained", 0.5, below=0.01)
    assert capsys.readouterr().out.count("not applicable to someone/another-model") == 2
    with pytest.raises(ClaimFailed):
        claim("the logits are the same", False)
    monkeypatch.setenv("LABKIT_BASE", "HuggingFaceTB/SmolLM2-135M-Instruct")
    with pytest.raises(ClaimFailed):
        claim("parameters", 7, equals=134_515_008)


# where a number comes from


@pytest.mark.parametrize(
    "arguments, line",
    [
        (dict(value=0.0034, below=0.005, unit="%", stored="2026-11-22"), "▣ it: 0.34 % (stored, 2026-11-22)"),
        (dict(value=1_200, equals=1_200, stored="2026-11-22"), "▣ it: 1,200 (stored, 2026-11-22)"),
        (dict(value=9, above=5, stored="2026-11-22"), "▣ it: 9 (stored, 2026-11-22)"),
        (dict(value=True, stored="2026-11-22"), "▣ it (stored, 2026-11-22)"),
        (dict(value=80.9e9, above=80e9, unit="GB", simulated=True), "◇ it: 80.9 GB (simulated)"),
        (dict(value=False, equals=False, simulated=True), "◇ it (simulated)"),
    ],
)
def test_what_was_not_measured_now_says_so_and_prints_bare(arguments, line, capsys):
    claim("it", **arguments)
    assert capsys.readouterr().out == line + "\n"
    assert line[0] in MARKS and re.sub(APPROX_PATTERN, "~", line) == line, "nbval compares it to the letter"


@pytest.mark.parametrize("origin", [dict(stored="2026-11-22"), dict(simulated=True)])
def test_a_bound_binds_what_is_stored_or_simulated_as_well(origin):
    with pytest.raises(ClaimFailed, match="below 0.5"):
        claim("it", 0.7, below=0.5, **origin)


@pytest.mark.parametrize(
    "origin, message",
    [
        (dict(stored="2026-11-22", simulated=True), "stored or simulated, not both"),
        (dict(stored="yesterday"), "the day of the study"),
        (dict(stored=20261122), "the day of the study"),
    ],
)
def test_an_origin_that_says_nothing_is_refused(origin, message):
    with pytest.raises(ConfigError, match=message):
        claim("it", 1, below=2, **origin)


def test_what_is_stored_is_about_the_default_base_only(monkeypatch, capsys):
    monkeypatch.setenv("LABKIT_BASE", "someone/another-model")
    for value, bound in [(0.3, dict(below=0.5)), (0.7, dict(below=0.5)), (True, {})]:
        claim("share", value, **bound, stored="2026-11-22")
    claim("peak", 3, above=2, simulated=True)
    *stored, simulated = capsys.readouterr().out.splitlines()
    assert len(stored) == 3 and all(line.startswith("○ share: not applicable to someone/another") for line in stored)
    assert all("from a stored study" in line for line in stored) and simulated == "◇ peak: 3.0 (simulated)"
