"""``labkit plan`` of configs that describe no model, and with options that make no sense: status 2 and one sentence."""

import json
import re
import time

import pytest
import torch
from conftest import TINY_SHAPE
from kinds_of_base import config_of, make
from transformers import AutoConfig, AutoModelForCausalLM, PretrainedConfig

from labkit import ConfigError, inject_lora, measure, simulate
from labkit.cli import main
from labkit.lora.config import LoraConfig
from labkit.simulation import simulating
from labkit.simulation.allocator import allocator_peak
from labkit.simulation.simulating import empty_batch

LLAMA = TINY_SHAPE | {"model_type": "llama"}
MILLION_MILLIONS = 10**12


def refusal(capsys, *arguments) -> str:
    """What ``labkit plan`` says while it refuses."""
    assert main(["plan", *map(str, arguments)]) == 2
    out, err = capsys.readouterr()
    assert out == "" and err.startswith("labkit plan: ") and err.count("\n") == 1
    return err


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"hidden_size": -64}, "config.json: hidden_size must be from 1 to 1,000,000,000, got -64"),
        ({"hidden_size": 0}, "hidden_size must be from 1 to .*, got 0\n"),
        ({"num_hidden_layers": 0}, "num_hidden_layers must be from 1 to 1,000, got 0"),
        ({"num_hidden_layers": -2}, "num_hidden_layers must be from 1 to .*, got -2\n"),
        ({"num_attention_heads": 0}, "num_attention_heads must be from 1 to .*, got 0\n"),
        ({"num_attention_heads": -4}, "num_attention_heads must be from 1 to .*, got -4\n"),
        ({"num_key_value_heads": 0}, "num_key_value_heads must be from 1 to .*, got 0\n"),
        ({"num_key_value_heads": 3}, "can't run a 'llama' model of this config: "),
        ({"vocab_size": 0}, "vocab_size must be from 1 to .*, got 0\n"),
        ({"vocab_size": -5}, "vocab_size must be from 1 to .*, got -5\n"),
        (
            {"vocab_size": 10**30},
            "vocab_size must be from 1 to .*, got 1,000,000,000,000,000,000,000,000,000,000\n",
        ),
        ({"intermediate_size": -3}, "intermediate_size must be from 1 to .*, got -3\n"),
        ({"head_dim": 0}, "head_dim must be from 1 to .*, got 0\n"),
        ({"hidden_size": 66}, "hidden size .66. is not a multiple of the number of"),
        ({"hidden_act": "swish9"}, "it doesn't know 'swish9'"),
        ({"rope_parameters": {"rope_type": "spiral"}}, "it doesn't know 'spiral'"),
        ({"rope_parameters": {"rope_type": "yarn"}}, "Missing required keys in `rope_parameters`"),
        ({"rope_parameters": "linear"}, "is not the config of a 'llama' model: "),
        ({"hidden_size": "64"}, "hidden_size must be a whole number, got '64'"),
        ({"hidden_size": float("nan")}, "hidden_size must be a whole number, got nan"),
        ({"num_hidden_layers": 2.5}, "num_hidden_layers must be a whole number, got 2.5"),
        ({"pad_token_id": 5000}, "Padding_idx must be within num_embeddings"),
        ({"attention_dropout": 2.0}, "dropout probability has to be between 0 and 1"),
        ({"model_type": None}, "without a model_type it doesn't say which architecture it describes"),
        ({"model_type": "my-own"}, "transformers doesn't know the architecture 'my-own'\n"),
        ({"model_type": ["llama"]}, "transformers doesn't know the architecture .'llama'."),
        ({"model_type": "own", "auto_map": {"AutoConfig": "a.B"}}, "the code that comes with it is never run"),
        ({"model_type": "t5"}, "'t5' is not a causal language model of transformers"),
        (
            {"model_type": "gpt2", "n_layer": MILLION_MILLIONS},
            "n_layer must be from 1 to .*, got 1,000,000,000,000\n",
        ),
        ({"model_type": "gpt2", "n_embd": -1}, "n_embd must be from 1 to .*, got -1\n"),
        (
            {"model_type": "gemma3", "text_config": {"num_hidden_layers": 0}},
            "num_hidden_layers must be from 1 to .*, got 0\n",
        ),
        (
            {"model_type": "gemma3", "vision_config": {"num_hidden_layers": MILLION_MILLIONS}},
            "must be from 0 to 1,000, got 1,000,",
        ),
    ],
)
def test_a_config_of_no_model_gets_one_sentence(changes, said, tmp_path, capsys):
    (tmp_path / "config.json").write_text(json.dumps(LLAMA | changes))
    assert re.search(said, refusal(capsys, tmp_path, "--seq", 16))


@pytest.mark.parametrize("kind", ["llama", "qwen2", "mixtral"])  # Qwen's config would make a list of as many entries
def test_absurdly_many_layers_are_refused_at_once(kind, tmp_path, capsys):
    (tmp_path / "config.json").write_text(
        json.dumps(LLAMA | {"model_type": kind, "num_hidden_layers": MILLION_MILLIONS})
    )
    began = time.process_time()
    assert "num_hidden_layers must be from 1 to 1,000, got 1,000,000,000,000" in refusal(capsys, tmp_path)
    assert time.process_time() - began < 5


def test_a_model_of_too_many_modules_is_given_up(monkeypatch):
    monkeypatch.setattr(simulating, "MOST_MODULES", 20)
    with pytest.raises(ConfigError, match="this 'opt' model has more than 20 modules, too many to simulate"):
        simulate(config_of("opt"), sequence=16)


def test_a_config_in_memory_is_looked_at_too():
    with pytest.raises(ConfigError, match="the config: num_hidden_layers must be from 1 to 1,000, got 1,000,0"):
        simulate(config_of("llama", num_hidden_layers=MILLION_MILLIONS), sequence=16)


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (["--rank", "0"], "--rank must be a whole number from 1 to 16,384, got '0'"),
        (["--seq", "0"], "--seq must be a whole number of at least 1, got '0'"),
        (["--seq", str(10**30)], "--seq must be a whole number of at most 1,000,000,000"),
        (["--batch-size", "-1"], "--batch-size must be a whole number from 1 to 65,536, got '-1'"),
        (["--batch-size", str(10**30)], "--batch-size must be a whole number from 1 to 65,536"),
        (["--labelled", "0"], "--labelled must be a share (0.25) or a number of tokens (256), got '0'"),
        (["--utilization", "0"], "utilization must be above 0 and at most 1, got 0.0"),
        (["--utilization", "nan"], "utilization must be above 0"),
        (["--price", "-1"], "--price must be a number of at least 0, got '-1'"),
        (["--price", "inf"], "--price must be a number of at least 0, got 'inf'"),
        (["--price", "2"], "--price is for the time on a card: say --card, too"),
        (["--examples", "0"], "--examples must be a whole number of at least 1, got '0'"),
        (["--epochs", "-3"], "--epochs must be a whole number of at least 1, got '-3'"),
        (["--dtype", "int8"], "dtype must be one of float32, bfloat16, float16, got 'int8'"),
        (["--card", "RTX 3060"], "the peak of the RTX 3060, 12 GB isn't known, so its time can't be estimated"),
    ],
)
def test_options_that_make_no_sense_get_one_sentence(options, said, capsys):
    assert said in refusal(capsys, "smollm2-135m", *options)


# ---- unusual, and right


def nested() -> PretrainedConfig:
    """Of a model that sees as well as reads."""
    eyes = {"hidden_size": 16, "intermediate_size": 16, "num_hidden_layers": 1, "num_attention_heads": 2}
    return AutoConfig.for_model(
        "gemma3",
        text_config=config_of("gemma3_text").to_dict(),
        vision_config=eyes | {"image_size": 8, "patch_size": 4},
    )


def test_a_nested_config_is_planned_in_float32_too():
    """The note on attention's scores asks for the heads, which only the part that reads has."""
    cost = simulate(nested(), "full", sequence=64, batch_size=50, dtype="float32")
    scores = 4 * 50 * 4 * 64**2  # bytes, rows, heads, tokens by tokens
    assert any(f"at least {scores / 1e9:.3f} GB per layer" in line for line in cost.assumptions)


def test_what_has_no_part_in_the_loss_gets_no_moments(one_thread):
    """Adapters on the part that sees, in a step without pictures: they get no gradient, and never a moment."""
    step = {"sequence": 16, "batch_size": 2}
    model = AutoModelForCausalLM.from_config(nested(), dtype=torch.float32)
    inject_lora(model, LoraConfig(r=8, target_modules="all-linear")).train()
    simulated = simulate(nested(), **step, dtype="float32", device="cpu")
    assert measure(model, **step).phases == simulated.phases
    assert abs(simulated.peak - allocator_peak(model, empty_batch(2, 16, 1.0))) <= 4096


def test_infinity_in_a_config_survives(tmp_path, one_thread):
    config = config_of("mamba2")
    assert float("inf") in config.time_step_limit
    config.save_pretrained(tmp_path)
    step = {"sequence": 16, "batch_size": 2}
    simulated = simulate(tmp_path, "full", **step, dtype="float32", device="cpu")
    assert measure(make("mamba2"), **step).phases == simulated.phases


def test_a_mask_of_ones_is_no_mask(one_thread):
    """BART's decoder makes one where none is given; with values transformers sees that it can do without."""
    layers = {"decoder_layers": 2, "decoder_ffn_dim": 48, "decoder_attention_heads": 4, "encoder_layers": 2}
    config = AutoConfig.for_model("bart", vocab_size=96, d_model=32, dropout=0.0, **layers)
    step = {"sequence": 16, "batch_size": 2}
    model = inject_lora(AutoModelForCausalLM.from_config(config), LoraConfig(target_modules="all-linear"))
    assert measure(model, **step).phases == simulate(config, **step, dtype="float32", device="cpu").phases
