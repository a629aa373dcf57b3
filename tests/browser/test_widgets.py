"""The widgets as they are used: the slider moved, a sentence of one's own typed."""

import io
import re

import numpy as np
import pytest
import torch
from matplotlib.image import imread

import labkit
from labkit.lab.explorers.step_cost import Choice, Run, caption, cost_picture

expect = pytest.importorskip("playwright.sync_api").expect


def pixels(picture) -> np.ndarray:
    """The picture that the browser shows."""
    content = picture.evaluate("async image => [...new Uint8Array(await (await fetch(image.src)).arrayBuffer())]")
    return imread(io.BytesIO(bytes(content)))


def test_the_rank_slider_moves_numbers_and_picture(notebook_01):
    update = labkit.load_update()["model.layers.14.self_attn.q_proj"]
    energies = torch.linalg.svdvals(update.double()).square()
    cell = notebook_01.cell("labkit.rank_slider(")
    slider, picture = cell.get_by_role("slider"), cell.locator("img")
    seen = {}
    for key, rank in ((None, 8), ("ArrowRight", 12), ("ArrowRight", 16), ("ArrowLeft", 12)):
        if key:
            before = picture.get_attribute("src")
            slider.press(key)
            expect(picture).not_to_have_attribute("src", before)
        caption = notebook_01.text(cell)
        energy, numbers = re.search(rf"rank {rank} of 576: ≈([\d.]+) % of the energy, with (\S+) num", caption).groups()
        assert float(energy) == pytest.approx(100 * (energies[:rank].sum() / energies.sum()).item(), abs=0.06)
        assert numbers == f"{rank * (576 + 576):,}"
        drawn = pixels(picture)
        assert (drawn == seen.setdefault(rank, drawn)).all(), "back at a rank, the picture is what it was"

    given, near = slice(0, 205), slice(215, 415)  # of the picture's 700 columns: the matrix; its best approximation
    for one, other in ((8, 12), (12, 16)):
        assert (seen[one][:, given] == seen[other][:, given]).all()
        assert (seen[one][:, near] != seen[other][:, near]).mean() > 0.05


def test_the_cost_explorer_follows_its_controls(lab, window):
    from browser.notebook_page import NotebookPage

    notebook = NotebookPage(window, lab, "02")
    for code in ("import labkit", "labkit.cost_explorer("):
        notebook.run(notebook.cell(code))
    cell = notebook.cell("labkit.cost_explorer(")
    picture = cell.locator("img")
    seen = {picture.get_attribute("src")}
    assert caption(Choice(), Run()) in notebook.text(cell)
    moves = {
        Choice(sequence=2048): lambda: cell.get_by_role("slider").nth(1).press("ArrowRight"),
        Choice(sequence=2048, checkpointing=False): lambda: cell.get_by_role("combobox").last.select_option("off"),
        Choice(sequence=2048, checkpointing=False, method="full"): lambda: (
            cell.get_by_role("combobox").nth(1).select_option("full")
        ),
    }
    for choice, move in moves.items():
        before = picture.get_attribute("src")
        move()
        expect(cell).to_contain_text(caption(choice, Run()))
        expect(picture).not_to_have_attribute("src", before)
        assert picture.get_attribute("src") not in seen
        assert (pixels(picture) == imread(io.BytesIO(cost_picture(choice, Run())))).all()
        seen.add(picture.get_attribute("src"))


# Keeps each text that the answer's place in the cell has from now on
WATCH = """cell => {
    cell.seen = []
    const look = () => cell.seen.push(cell.querySelector("td")?.textContent ?? "")
    new MutationObserver(look).observe(cell, {childList: true, characterData: true, subtree: true})
}"""


def test_a_sentence_of_ones_own_is_answered_token_by_token(notebook_00, base):
    question, be_brief = "Why is the sea salty?", "Answer in one short sentence."
    cell = notebook_00.cell('"Which animal says moo?"')
    field = cell.locator("input[type=text]")
    answer, stop = (cell.get_by_role("button", name=name) for name in ("Answer", "Stop"))
    cell.evaluate(WATCH)
    field.fill(question)
    field.press("Enter")
    expect(cell).to_contain_text(f"You: {question}")
    expect(stop).to_be_disabled()
    expect(answer).to_be_enabled()

    [whole] = labkit.generate(*base, [question], be_brief)
    assert cell.locator("td").first.text_content() == whole
    grown = list(dict.fromkeys(cell.evaluate("cell => cell.seen")))
    grown = grown[grown.index("") + 1 :]
    assert len(grown) > 4 and all(whole.startswith(text) for text in grown)
    assert [len(text) for text in grown] == sorted(len(text) for text in grown)
    assert re.search(r"\d+ tokens · [\d.]+ s", notebook_00.text(cell))
