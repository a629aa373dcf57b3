"""The adapter mixer as it is used: a slider moved, and the same question asked again."""

import pytest

import labkit
from browser.notebook_page import NotebookPage
from labkit.cli.chat import shipped_adapters

expect = pytest.importorskip("playwright.sync_api").expect


@pytest.fixture
def mixer(lab, window):
    """Notebook 10's mixer, with no more of the notebook run than it needs."""
    notebook = NotebookPage(window, lab, "10")
    for code in ("labkit.AdapterBank(model)", "labkit.adapter_mixer("):
        cell = notebook.cell(code)
        notebook.run(cell)
        assert notebook.error(cell).count() == 0, notebook.text(cell)
    return cell


def answers(choices: list) -> list[str]:
    """What the course's adapters say to the row of voice that the mixer begins with, in a process without a page."""
    model, tokenizer = labkit.load_base(device="cpu")
    bank, task = labkit.AdapterBank(model), labkit.load_task("voice")
    for name in ("sql", "voice"):
        bank.add(name, shipped_adapters()[name])
    prompt = task.rows("test")[1]["prompt"]
    count = len(choices)
    return labkit.generate(model, tokenizer, [prompt] * count, task.system, max_new_tokens=84, adapters=choices)


def letters(text: str) -> str:
    """`text` without its spaces and line ends: a page has elements for these."""
    return "".join(text.split())


def test_a_moved_slider_changes_the_answer(mixer):
    half, voice_alone = {"sql": 0.5, "voice": 0.5}, {"voice": 0.5}
    wanted = answers([half, voice_alone, None])
    assert len(set(wanted)) == 3
    said, who = mixer.locator("td").first, mixer.locator("th").first
    assert who.text_content() == "0.5 sql + 0.5 voice"
    assert letters(said.text_content()) == letters(wanted[0])

    button = mixer.get_by_role("button", name="Answer", exact=True)
    # the sliders are those of the bank, in its order: tickets, sql, voice, clauses
    for slider, name, answer in ((1, "0.5 voice", wanted[1]), (2, "the base", wanted[2])):
        for _ in range(5):  # steps of 0.1, from 0.5 down to 0
            mixer.get_by_role("slider").nth(slider).press("ArrowLeft")
        expect(mixer.locator(".widget-readout").nth(slider)).to_have_text("0.00")
        button.click()
        expect(who).to_have_text(name)
        expect(button).to_be_enabled()
        assert letters(said.text_content()) == letters(answer)
