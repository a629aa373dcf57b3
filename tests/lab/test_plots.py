import io
import itertools
import os
import subprocess
import sys

import matplotlib

matplotlib.use("agg")
import matplotlib.pyplot as plt
import numpy as np
import pytest
from matplotlib.colors import to_rgb
from PIL import Image, ImageChops

from labkit.errors import ConfigError
from labkit.lab.plots import COLOURS, LINESTYLES, MARKERS, _sharp, axes, show


def linear_light(colour: str) -> np.ndarray:
    encoded = np.array(to_rgb(colour))
    return np.where(encoded <= 0.04045, encoded / 12.92, ((encoded + 0.055) / 1.055) ** 2.4)


def lightness(colour: str) -> float:
    """CIE L*, 0 to 100."""
    return 116 * (linear_light(colour) @ [0.2126, 0.7152, 0.0722]) ** (1 / 3) - 16


def test_colours_differ_in_lightness():
    levels = [lightness(colour) for colour in COLOURS]
    assert min(b - a for a, b in itertools.pairwise(levels)) > 6
    assert levels[-1] < 75  # still seen on white


# Machado, Oliveira and Fernandes 2009, severity 1: what reaches somebody without red or green cones
PROTAN = [[0.152286, 1.052583, -0.204868], [0.114503, 0.786281, 0.099216], [-0.003882, -0.048116, 1.051998]]
DEUTAN = [[0.367322, 0.860646, -0.227968], [0.280085, 0.672501, 0.047413], [-0.011820, 0.042940, 0.968881]]


@pytest.mark.parametrize("matrix", [PROTAN, DEUTAN])
def test_colours_stay_apart_without_red_or_green_cones(matrix):
    seen = [np.clip(np.array(matrix) @ linear_light(colour), 0, 1) ** (1 / 2.4) for colour in COLOURS]
    assert min(np.linalg.norm(a - b) for a, b in itertools.combinations(seen, 2)) > 0.15


def test_lines_differ_in_more_than_colour():
    ax = axes("title", "x (s)", "y (s)")
    lines = [ax.plot([0, 1])[0] for _ in COLOURS]
    assert len({line.get_marker() for line in lines}) == len(MARKERS) == len(COLOURS) == len(LINESTYLES)
    plt.close("all")


def test_a_figure_is_labelled_small_and_as_wide_as_the_page():
    ax = axes("Loss", "step", "loss (nats per token)", xscale="log")
    steps = np.arange(1, 500)
    for k in range(6):
        ax.plot(steps, np.random.default_rng(k).normal(size=len(steps)).cumsum())
    assert (ax.get_xlabel(), ax.get_ylabel(), ax.get_xscale()) == ("step", "loss (nats per token)", "log")
    assert repr(ax.figure) == "<Figure size 700x320 with 1 Axes>"
    file = io.BytesIO()
    ax.figure.savefig(file, format="png", bbox_inches="tight")
    assert 5_000 < len(file.getvalue()) < 80_000
    plt.close("all")


@pytest.mark.parametrize("labels", [("", "x", "y"), ("t", "", "y"), ("t", "x", "")])
def test_a_figure_without_labels_is_refused(labels):
    with pytest.raises(ConfigError, match="label with its unit on both axes"):
        axes(*labels)


@pytest.mark.slow
def test_the_first_figure_ever_is_quiet(tmp_path):
    """In a fresh environment, on a machine slow enough for matplotlib to say that it builds its font cache."""
    code = (
        "import threading\n"
        "class AtOnce(threading.Timer):\n"
        "    def __init__(self, interval, function): super().__init__(0, function)\n"
        "threading.Timer = AtOnce\n"
        "{}\n"
        "import matplotlib.pyplot as plt\n"
        "plt.title('√α ≈ 1 × ‖ΔW‖'); plt.savefig({!r})\n"
    )
    errors = []
    for folder, first in (("without", ""), ("with", "from labkit.lab.plots import use_style; use_style()")):
        environment = {**os.environ, "MPLCONFIGDIR": str(tmp_path / folder), "MPLBACKEND": "agg"}
        command = [sys.executable, "-c", code.format(first, str(tmp_path / f"{folder}.png"))]
        done = subprocess.run(command, env=environment, capture_output=True, text=True, check=True)
        errors.append(done.stderr)
    assert "building the font cache" in errors[0]
    assert errors[1] == ""


# a figure with its words


def a_figure():
    return axes("Loss", "step", "loss (nats per token)")


def test_in_a_terminal_a_figure_is_its_words_and_is_closed(capsys):
    figure, words = a_figure(), "The loss falls\n  and then stays."
    assert show(figure, alt=words) is None
    show(a_figure().figure, alt=words)
    assert capsys.readouterr().out == "Figure: The loss falls and then stays.\n" * 2
    assert plt.get_fignums() == []


@pytest.mark.parametrize("alt", ["", "  \n", None, 3])
def test_a_figure_without_words_is_refused(alt):
    with pytest.raises(ConfigError, match="words for those who can't see it"):
        show(a_figure(), alt=alt)
    plt.close("all")


def test_what_is_no_figure_is_refused():
    with pytest.raises(ConfigError, match="takes a figure or its axes, got list"):
        show([a_figure()], alt="Two curves.")
    plt.close("all")


def test_a_figure_has_more_pixels_than_the_page_shows_and_fewer_bytes_than_matplotlib_would_write(tmp_path):
    figure = a_figure().figure
    plain = tmp_path / "plain.png"
    figure.savefig(plain, dpi=160)
    drawn = Image.open(io.BytesIO(_sharp(figure)))
    assert drawn.size == tuple(round(160 * inches) for inches in figure.get_size_inches())
    assert len(_sharp(figure)) < plain.stat().st_size
    with Image.open(plain) as millions:  # no color is further off than an eye sees
        off = ImageChops.difference(millions.convert("RGB"), drawn.convert("RGB"))
    assert max(high for _, high in off.getextrema()) < 48
