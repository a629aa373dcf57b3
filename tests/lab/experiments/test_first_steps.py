"""The first steps of a run are those of the whole run: same rows, same rates, same losses."""

import pytest
from conftest import make_tiny_llama

import labkit
from labkit.lab.experiments.first_steps import first_losses

pytestmark = pytest.mark.usefixtures("one_thread")

CONFIG = labkit.TrainConfig(steps=6, batch_size=2, learning_rate=1e-2)


@pytest.fixture(scope="module")
def task():
    return labkit.load_task("tickets")


def tiny():
    model = make_tiny_llama(max_position_embeddings=1024)
    labkit.adapt(model, "lora", r=2)
    return model


def test_they_are_the_whole_runs(tiny_tokenizer, task):
    whole = labkit.train(tiny(), tiny_tokenizer, task, CONFIG).losses
    model = tiny()
    assert first_losses(model, tiny_tokenizer, task, CONFIG, steps=3) == whole[:3]
    assert any(p.abs().max() > 0 for name, p in model.named_parameters() if "lora_B" in name), "the steps stay"
    assert not model.training


def test_all_of_them_where_there_are_no_more(tiny_tokenizer, task):
    assert len(first_losses(tiny(), tiny_tokenizer, task, CONFIG, steps=9)) == CONFIG.steps


def test_what_train_refuses_is_refused(tiny_tokenizer, task):
    model = tiny().requires_grad_(False)
    with pytest.raises(labkit.errors.ConfigError, match="nothing to train"):
        first_losses(model, tiny_tokenizer, task, CONFIG, steps=1)
