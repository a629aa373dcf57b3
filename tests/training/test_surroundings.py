"""A run is decided by its config: not by Accelerate's variables, torch's defaults, or what else the program does."""

import contextlib
import json
from dataclasses import replace

import pytest
import torch
from accelerate import Accelerator
from accelerate.state import AcceleratorState, GradientState
from test_loop import same_bits
from training_run import ROWS, TASK, make_model, weights_of

from labkit import ConfigError, TrainConfig, TrainingError, train
from labkit.training.surroundings import own_random_numbers, seed_random_numbers

pytestmark = pytest.mark.usefixtures("one_thread")
CONFIG = TrainConfig(steps=3, batch_size=4, learning_rate=1e-2)


@pytest.fixture(autouse=True)
def accelerate_anew():
    """Accelerate keeps what the first Accelerator of a process was set to."""
    for _ in range(2):
        AcceleratorState._reset_state(reset_partial_state=True)
        GradientState._reset_state()
        yield from [None] * (_ == 0)


@pytest.fixture
def run(tiny_tokenizer):
    def run(model=None, config=CONFIG, **options):
        model = model or make_model()
        return train(model, tiny_tokenizer, TASK, config, rows=ROWS, **options).losses, weights_of(model)

    return run


@pytest.mark.parametrize(
    ("variable", "value", "message"),
    [
        ("MIXED_PRECISION", "bf16", "=bf16.* dtype of the weights.* Set .*=no .*: --mixed_precision no, or "),
        ("MIXED_PRECISION", "fp8", "mixed_precision=fp8"),
        ("GRADIENT_ACCUMULATION_STEPS", "4", "=4.* TrainConfig's gradient_accumulation.*_STEPS=1 .*--grad"),
        ("GRADIENT_ACCUMULATION_STEPS", "x", "gradient_accumulation_steps=x"),
        ("DYNAMO_BACKEND", "inductor", "dynamo_backend=inductor.* compiles nothing"),
        ("USE_DEEPSPEED", "true", "use_deepspeed=true.* a whole model on each process. Set .*=false$"),
        ("USE_MEGATRON_LM", "1", "use_megatron_lm"),
        ("USE_PARALLELISM_CONFIG", "True", "use_parallelism_config"),
        ("USE_CPU", "maybe", "Accelerate can't be set up: invalid truth value maybe.* every ACCELERATE_ variable$"),
        ("TORCH_DEVICE", "bogus", "Accelerate can't be set up: Expected one of"),
    ],
)
def test_a_variable_that_asks_for_another_recipe_is_one_sentence(run, monkeypatch, variable, value, message):
    monkeypatch.setenv(f"ACCELERATE_{variable}", value)
    with pytest.raises(ConfigError, match=message):
        run()


def test_one_of_several_processes_that_was_not_launched_is_told_so(run, monkeypatch):
    monkeypatch.setenv("LOCAL_RANK", "0")  # as a cluster's scheduler leaves it behind
    with pytest.raises(
        ConfigError, match="can't be set up: .*MASTER_ADDR.* a single one, unset RANK, WORLD_SIZE, LOCAL_RANK"
    ):
        run()


@pytest.mark.parametrize("device", [{"USE_CPU": "1"}, {"TORCH_DEVICE": "meta"}])
def test_other_variables_have_no_effect(run, monkeypatch, device):
    plain = run()
    for variable, value in ({"USE_FSDP": "true", "DEBUG_MODE": "1"} | device).items():
        monkeypatch.setenv(f"ACCELERATE_{variable}", value)
    monkeypatch.setenv("ACCELERATE_MIXED_PRECISION", "NO")
    AcceleratorState._reset_state(reset_partial_state=True)
    losses, weights = run()
    assert losses == plain[0] and same_bits(weights, plain[1])


@pytest.mark.parametrize("other", [{"mixed_precision": "bf16"}, {"dynamo_backend": "eager"}])
def test_another_recipe_of_the_programs_own_accelerator_is_one_sentence(run, other):
    Accelerator(**other)
    ((name, value),) = other.items()
    with pytest.raises(ConfigError, match=f"(?i){name}={value}.* Create your program's Accelerator without {name}$"):
        run()


def test_a_program_that_accumulates_gradients_neither_skips_a_step_nor_is_changed(run):
    plain = run()
    theirs = Accelerator(gradient_accumulation_steps=4)
    with theirs.accumulate(theirs.prepare(torch.nn.Linear(2, 2))):
        pass  # from here on their optimizers wait
    losses, weights = run()
    assert losses == plain[0] and same_bits(weights, plain[1])
    assert theirs.gradient_accumulation_steps == 4 and not theirs.sync_gradients


def torch_is_set_to(what: str):
    """A context manager that changes one of torch's own settings."""
    stack = contextlib.ExitStack()
    if what == "meta":
        return torch.device("meta")
    if what == "deterministic":
        torch.use_deterministic_algorithms(True)
        stack.callback(torch.use_deterministic_algorithms, False)
    elif what in ("no_grad", "inference_mode"):
        return getattr(torch, what)()
    else:
        before = torch.get_default_dtype()
        torch.set_default_dtype(getattr(torch, what))
        stack.callback(torch.set_default_dtype, before)
    return stack


@pytest.mark.parametrize("what", ["no_grad", "inference_mode", "bfloat16", "float64", "meta", "deterministic"])
def test_what_torch_is_set_to_has_no_effect_and_stays(run, what):
    plain, model = run(), make_model()
    with torch_is_set_to(what):
        before = torch.get_default_dtype(), torch.get_default_device(), torch.is_grad_enabled()
        losses, weights = run(model)
        assert (torch.get_default_dtype(), torch.get_default_device(), torch.is_grad_enabled()) == before
    assert losses == plain[0] and same_bits(weights, plain[1])


def test_a_model_made_in_inference_mode_is_one_sentence(run):
    with torch.inference_mode():
        model = make_model()
    with pytest.raises(
        ConfigError, match="made inside torch.inference_mode.* Load it and call inject_lora outside that block"
    ):
        run(model)


def test_autocast_is_honored_and_stands_in_the_recipe(run, tmp_path):
    config = replace(CONFIG, checkpoint_every=3)
    plain, _ = run(config=CONFIG)
    with torch.autocast("cpu", torch.bfloat16):
        losses, _ = run(config=config, output_dir=tmp_path)
        assert run(config=config, output_dir=tmp_path, resume=True)[0] == losses
    assert losses != plain and losses == pytest.approx(plain, rel=0.01)
    assert json.loads((tmp_path / "checkpoint-000003/run.json").read_text())["recipe"]["autocast"] == "torch.bfloat16"
    with pytest.raises(TrainingError, match="made by another run .not the same: autocast."):
        run(config=config, output_dir=tmp_path, resume=True)


def test_only_the_generators_of_the_devices_in_use_are_asked_and_seeded(monkeypatch):
    """On a machine with eight GPUs, asking all of them takes a context on each."""
    model, before = make_model(), torch.get_rng_state()
    for name in ("get_rng_state", "set_rng_state", "manual_seed_all", "manual_seed"):
        monkeypatch.setattr(torch.cuda, name, lambda *_, name=name: pytest.fail(f"torch.cuda.{name} was called"))
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 8)
    with own_random_numbers(model):
        seed_random_numbers(model, 5, process=0)
        drawn = torch.rand(3)
    assert torch.get_rng_state().equal(before)
    assert drawn.equal(torch.rand(3, generator=torch.Generator().manual_seed(5)))
