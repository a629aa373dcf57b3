import io

import pytest
import torch
from conftest import make_tiny_llama
from matplotlib.image import imread

from labkit import AdapterBank, ConfigError, LoraConfig, adapter_mixer, generate, inject_lora, lora_layers
from labkit.lab.explorers import adapter_mix
from labkit.lab.explorers.adapter_mix import blend_name

pytestmark = pytest.mark.usefixtures("one_thread")

LIMIT = 10
ROWS = {
    "sql": {"prompt": "a table\nHow many?", "system": "To SQL", "completion": "SELECT 1"},
    "voice": {"prompt": "Your cake is ready.", "system": "As a keeper"},
}


def make_model(adapters=("sql", "voice")):
    """A model with a bank of adapters that change its answer."""

    def one():
        return make_tiny_llama(
            vocab_size=128, max_position_embeddings=512, initializer_range=0.5, tie_word_embeddings=False
        )

    model = one()
    bank = AdapterBank(model)
    for seed, name in enumerate(adapters):
        source = inject_lora(one(), LoraConfig(target_modules="all-linear"))
        torch.manual_seed(seed)
        for _, layer in lora_layers(source):
            torch.nn.init.normal_(layer.lora_B.weight, std=0.5)
        bank.add(name, source)
    return model


@pytest.fixture(scope="module")
def model():
    return make_model()


class Mixer:
    """The mixer as it is shown in a notebook, without one: its box, and what stands in for it."""

    def __init__(self, monkeypatch, model, tokenizer, **settings):
        monkeypatch.setattr(adapter_mix, "in_notebook", lambda: True)
        monkeypatch.setattr(adapter_mix, "show_widget", self._show)
        adapter_mixer(model, tokenizer, ROWS, max_new_tokens=LIMIT, **settings)
        self.chooser, self.told, *sliders, asking = self.box.children
        self.sliders = {slider.description: slider for slider in sliders}
        (self.field, self.button, self.stop), self.output = asking.children[0].children, asking.children[1]

    def _show(self, box, text, html_text=None, png=None):
        self.box, self.text, self.png = box, text, png


@pytest.fixture
def mixer(monkeypatch, model, tiny_tokenizer):
    return Mixer(monkeypatch, model, tiny_tokenizer, weights={"sql": 1})


def wanted(model, tokenizer, row: str, choice, prompt: str | None = None) -> str:
    """The oracle: the bank's own blend, made active, and nothing of the mixer's."""
    bank = model.labkit.bank
    bank.blend(choice) if choice else bank.deactivate()
    [answer] = generate(model, tokenizer, [prompt or ROWS[row]["prompt"]], ROWS[row]["system"], LIMIT)
    bank.deactivate()
    return answer


@pytest.mark.parametrize(
    "choice, name",
    [
        (None, "the base"),
        ("sql", "sql"),
        ({"sql": 0.5, "voice": 0.5}, "0.5 sql + 0.5 voice"),
        ({"a": -1.0}, "-1 a"),
    ],
)
def test_blend_name(choice, name):
    assert blend_name(choice) == name


def test_the_answer_is_the_blends(mixer, model, tiny_tokenizer):
    answers = set()
    for weights in ({"sql": 1.0}, {"sql": 0.3, "voice": 0.7}, {"voice": -1.0}, {}):
        for name, slider in mixer.sliders.items():
            slider.value = weights.get(name, 0.0)
        mixer.button.click()
        answer = wanted(model, tiny_tokenizer, "sql", weights)
        assert answer in mixer.output.value and f">{blend_name(weights)}<" in mixer.output.value
        answers.add(answer)
    assert len(answers) == 4, "each blend says something else"


def test_a_row_brings_prompt_and_system_prompt_and_the_prompt_can_be_changed(mixer, model, tiny_tokenizer):
    assert "Right would be: SELECT 1" in mixer.output.value
    mixer.chooser.value = "voice"
    assert mixer.field.value == ROWS["voice"]["prompt"] and "As a keeper" in mixer.told.value
    mixer.field.value = "Your van\nis late."
    mixer.button.click()
    assert wanted(model, tiny_tokenizer, "voice", {"sql": 1.0}, "Your van\nis late.") in mixer.output.value
    assert "Right would be" not in mixer.output.value
    mixer.field.value = "  "
    mixer.button.click()
    assert "Type a sentence first" in mixer.output.value


def test_the_bank_is_afterwards_as_it_was(mixer, model):
    bank = model.labkit.bank
    for choose in (bank.deactivate, lambda: bank.activate("voice"), lambda: bank.blend({"sql": 2.0})):
        choose()
        before = bank.active
        mixer.button.click()
        assert bank.active == before and not bank.rows_open
    bank.deactivate()


def test_an_error_on_the_way_is_told_and_the_bank_is_as_it_was(mixer, model):
    head = model.lm_head.weight.data
    model.lm_head.weight.data = head[:, :5]  # a learner's slip
    mixer.button.click()
    model.lm_head.weight.data = head
    assert "The model could not answer (RuntimeError" in mixer.output.value
    assert model.labkit.bank.active is None and not model.labkit.bank.rows_open
    mixer.button.click()
    assert "could not" not in mixer.output.value


def test_without_a_kernel_there_is_a_picture_and_the_same_text_each_time(mixer, capsys, monkeypatch, tiny_tokenizer):
    assert mixer.text == "(the adapter mixer is shown here; the picture is what 1 sql says to a row of sql)"
    assert imread(io.BytesIO(mixer.png)).shape[1] == 700 and len(mixer.png) < 80_000
    monkeypatch.setattr(adapter_mix, "in_notebook", lambda: False)
    model = make_model()
    adapter_mixer(model, tiny_tokenizer, ROWS, weights={"voice": 0.5}, max_new_tokens=LIMIT)
    out = capsys.readouterr().out
    assert "0.5 voice: " + wanted(model, tiny_tokenizer, "sql", {"voice": 0.5}) in out and "SELECT 1" in out


@pytest.mark.parametrize(
    "changes, said",
    [
        ({"model": make_tiny_llama()}, "whose bank has adapters"),
        ({"model": make_model(())}, "whose bank has adapters"),
        ({"rows": {}}, "rows to ask"),
        ({"rows": {"talk": {"messages": [{"role": "user", "content": "Hi"}]}}}, "each row needs a prompt that is text"),
        ({"max_new_tokens": 0}, "max_new_tokens must be a whole number of at least 1, got 0"),
        ({"max_new_tokens": "8"}, "max_new_tokens must be a whole number of at least 1, got '8'"),
        ({"weights": {"sq": 1}}, "no slider of sql, voice goes to 1 sq"),
        ({"weights": {"sql": 2.1}}, "goes to 2.1 sql"),
        ({"weights": {"sql": float("nan")}}, "goes to nan sql"),
        ({"rows": {"long": {"prompt": "x" * 600, "system": ""}}}, "long: That is .* tokens"),
    ],
)
def test_what_cannot_be_mixed_is_refused(model, tiny_tokenizer, changes, said):
    given = {"model": model, "rows": ROWS} | changes
    with pytest.raises(ConfigError, match=said):
        adapter_mixer(given.pop("model"), tiny_tokenizer, **given)


def test_stop_ends_the_answer(mixer, monkeypatch):
    shown = []
    mixer.output.observe(lambda change: shown.append(change["new"]) or mixer.stop.click(), "value")
    mixer.button.click()
    assert "Stopped." in mixer.output.value and f"{LIMIT} tokens" not in mixer.output.value
    assert not mixer.button.disabled
