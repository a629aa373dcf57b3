"""labkit.train on every method: it learns, resumes to the same bits, and steps at the rates the method asks for."""

import pytest
import torch
from conftest import make_tiny_llama, make_tiny_tokenizer
from families import trained
from training_run import ROWS, TASK

import labkit
from labkit import TrainConfig, TrainingError
from labkit.family.bottleneck import Bottleneck
from labkit.family.lora import LoRA
from labkit.family.lora_fa import LoRAFA
from labkit.family.lora_plus import LoRAPlus
from labkit.family.method import rate_groups
from labkit.family.registry import METHODS
from labkit.lora.wrapping import adapted_layers

pytestmark = pytest.mark.usefixtures("one_thread")

RATES = {"full": 3e-3, "spectrum": 3e-3, "prompt": 0.1, "prefix": 0.1, "vera": 0.1, "ia3": 0.1, "bitfit": 0.03}
each_method = pytest.mark.parametrize("name", METHODS)


def model_with(name: str, **settings):
    model = make_tiny_llama(max_position_embeddings=256)
    torch.manual_seed(1)
    labkit.adapt(model, name, **settings)
    return model


def run(model, steps=12, rate=1e-2, **named):
    config = TrainConfig(steps=steps, batch_size=4, learning_rate=rate, **named.pop("config", {}))
    return labkit.train(model, make_tiny_tokenizer(), TASK, config, rows=ROWS, **named)


@each_method
def test_it_learns_and_all_else_stays(name):
    model = model_with(name)
    before = {key: value.clone() for key, value in model.state_dict().items()}
    names = {key for key, p in model.named_parameters(remove_duplicate=False) if p.requires_grad}
    found = run(model, rate=RATES.get(name, 1e-2), validation=ROWS[:4], config={"validate_every": 12})
    assert found.best["step"] == 12 and found.best["validation_loss"] < found.before["validation_loss"]
    changed = {key for key, value in model.state_dict().items() if not torch.equal(value, before[key])}
    assert changed and changed <= names
    assert len(changed) > 0.9 * len(names)
    scores = labkit.evaluate(model, make_tiny_tokenizer(), TASK, ROWS[:3])
    assert "exact" in scores.scores and model.training is False


@each_method
def test_it_resumes_to_the_same_bits(name, tmp_path):
    rate, kept = RATES.get(name, 1e-2), {"checkpoint_every": 2}
    whole = model_with(name)
    run(whole, 4, rate, output_dir=tmp_path / "whole", config=kept)

    def stop(report):
        if report.step == 3:
            raise InterruptedError

    cut = model_with(name)
    with pytest.raises(InterruptedError):
        run(cut, 4, rate, output_dir=tmp_path / "cut", config=kept, on_step=stop)
    again = model_with(name)
    run(again, 4, rate, output_dir=tmp_path / "cut", config=kept, resume=True)
    ours, theirs = trained(whole), trained(again)
    assert ours.keys() == theirs.keys() and all(torch.equal(ours[key], theirs[key]) for key in ours)


def test_a_checkpoint_of_another_method_is_refused(tmp_path):
    kept = {"checkpoint_every": 1}
    run(model_with("lora"), 1, output_dir=tmp_path, config=kept)
    with pytest.raises(TrainingError, match=r"made by another run \(not the same: method\)"):
        run(model_with("lora+"), 1, output_dir=tmp_path, config=kept, resume=True)


@pytest.mark.parametrize("name, settings", [("lora-fa", {}), ("pissa", {"niter": 2, "target_modules": ["q_proj"]})])
def test_a_checkpoint_needs_what_was_drawn_and_never_learns(name, settings, tmp_path):
    kept = {"checkpoint_every": 1}
    run(model_with(name, **settings), 1, output_dir=tmp_path, config=kept)
    other = make_tiny_llama(max_position_embeddings=256)
    torch.manual_seed(2)
    labkit.adapt(other, name, **settings)
    with pytest.raises(TrainingError, match=r"made by another run \(not the same: method\)"):
        run(other, 1, output_dir=tmp_path, config=kept, resume=True)


def test_lora_plus_takes_its_two_rates_into_train():
    """AdamW's first step is the rate itself, wherever there's a gradient."""
    model = model_with("lora+", loraplus_lr_ratio=4.0, target_modules=["q_proj"])
    torch.manual_seed(2)
    for _, layer in adapted_layers(model):  # or A has no gradient yet
        torch.nn.init.normal_(layer.lora_B.weight)
    before = {key: p.detach().clone() for key, p in trained(model).items()}
    run(model, 1, 1e-3, config={"warmup_share": 0.0, "max_grad_norm": 1e9})
    for key, parameter in trained(model).items():
        step = (parameter - before[key]).abs().max().item()
        assert step == pytest.approx(4e-3 if "lora_B" in key else 1e-3, rel=0.01)
    assert [group["rate_factor"] for group in rate_groups(model)] == [1.0, 4.0]


def test_lora_fa_corrects_the_gradient_in_train():
    """Its step is the one it would take with A's rows at right angles."""
    ways = {}
    for corrected in (True, False):
        model = model_with("lora-fa", r=4, corrected=corrected, target_modules=["q_proj", "up_proj"])
        run(model, 2)
        ways[corrected] = torch.cat([p.detach().flatten() for p in trained(model).values()])
    assert not torch.equal(ways[True], ways[False])
    assert torch.cosine_similarity(ways[True], ways[False], dim=0) > 0.7


def test_without_a_method_there_is_one_group_and_one_rate():
    model = labkit.inject_lora(make_tiny_llama(), labkit.LoraConfig())
    (group,) = rate_groups(model)
    assert group["rate_factor"] == 1.0 and len(group["params"]) == 8


@pytest.mark.parametrize("method", [LoRA(), LoRAPlus(), LoRAFA(corrected=False), Bottleneck()])
def test_an_optimizer_for_a_loop_of_ones_own(method):
    model = make_tiny_llama()
    made = method.apply(model)
    optimizer = made.optimizer(1e-3, weight_decay=0.1)
    rates = {id(p): group["lr"] for group in optimizer.param_groups for p in group["params"]}
    assert rates == {id(p): pytest.approx(1e-3 * method.rate_factor(key)) for key, p in made.parameters.items()}


@pytest.mark.memory_check
@pytest.mark.parametrize("name", ["dora", "prefix", "prompt"])
def test_a_step_can_be_simulated_first(name, recwarn):
    run(model_with(name), 1)
    assert not [str(each.message) for each in recwarn if issubclass(each.category, labkit.LabkitWarning)]


@pytest.mark.slow
def test_the_real_base_learns_with_what_is_farthest_from_lora():
    task = labkit.load_task("tickets")
    config = TrainConfig(steps=3, batch_size=2, learning_rate=1e-2, warmup_share=0.0)
    for name in ("prefix", "prompt", "vera"):
        model, tokenizer = labkit.load_base(device="cpu")
        words = {"start": tuple(tokenizer(task.system).input_ids)}
        labkit.adapt(model, name, **({} if name == "vera" else words))
        found = labkit.train(model, tokenizer, task, config, rows=task.rows("train").select(range(2)))
        assert found.losses[-1] < found.losses[0]
