from pathlib import Path

import nbformat

NOTEBOOK = Path(__file__).parents[2] / "notebooks" / "11_the_ecosystem.ipynb"


def test_the_fine_tune_in_ten_lines_of_peft_has_ten_lines():
    sources = [cell.source for cell in nbformat.read(NOTEBOOK, as_version=4).cells]
    [ten] = [source for source in sources if source.startswith("model, losses = peft.get_peft_model")]
    assert len(ten.splitlines()) == 10 and "## 11.2 · PEFT in ten lines" in "\n".join(sources)
    assert ten.rstrip().splitlines()[-1].startswith("model.save_pretrained(")
