"""Several processes train as one does: the same losses, one of them writes, and no two drop the same numbers."""

import json
import os
import subprocess
import sys
from pathlib import Path

import accelerate_run
import pytest
import torch
from accelerate.commands.launch import _validate_launch_command, launch_command_parser
from accelerate.utils import FullyShardedDataParallelPlugin, patch_environment
from accelerate.utils.launch import prepare_multi_gpu_env
from conftest import make_tiny_llama, make_tiny_tokenizer
from safetensors.torch import load_file

from labkit.storage.paths import course_data_dir

CONFIGS = course_data_dir() / "accelerate"
RUN = Path(accelerate_run.__file__)


def launched(*arguments) -> tuple[str, str]:
    """What two processes print, and what they say on stderr, when `accelerate launch` starts them."""
    config = CONFIGS / "two_cpus.yaml"
    command = [sys.executable, "-m", "accelerate.commands.accelerate_cli", "launch", "--config_file", config]
    here = {name: value for name, value in os.environ.items() if name != "ACCELERATE_USE_CPU"}
    here |= {"OMP_NUM_THREADS": "1", "CUDA_VISIBLE_DEVICES": ""}
    done = subprocess.run([*command, *arguments], env=here, capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stderr
    return done.stdout, done.stderr


@pytest.fixture(scope="module")
def one(tmp_path_factory) -> dict:
    out = tmp_path_factory.mktemp("one")
    return accelerate_run.told_by_training(out) | {"weights": load_file(out / "0.safetensors")}


@pytest.fixture(scope="module")
def two(tmp_path_factory) -> list[dict]:
    out = tmp_path_factory.mktemp("two")
    assert launched(RUN, "train", out) == ("", "")
    return [
        json.loads((out / f"{rank}.json").read_text())
        | {"weights": load_file(out / f"{rank}.safetensors")}
        | {"qlora_weights": load_file(out / f"qlora-{rank}.safetensors")}
        for rank in (0, 1)
    ]


@pytest.mark.slow
def test_two_processes_have_the_losses_and_weights_of_one(one, two):
    assert one["processes"] == 1
    for told in two:
        assert told["processes"] == 2
        assert told["losses"] == pytest.approx(one["losses"], rel=1e-5)
        for name, weight in told["weights"].items():
            torch.testing.assert_close(weight, one["weights"][name], atol=1e-5, rtol=0)


@pytest.mark.slow
def test_the_loss_is_no_mean_of_means(one, two):
    """The rows are dealt out so that the mistake would show: it is far from the mean over all tokens."""
    assert accelerate_run.mean_of_means(1) == pytest.approx(one["losses"][0], rel=1e-5)
    mistaken = accelerate_run.mean_of_means(2)
    assert abs(mistaken - two[0]["losses"][0]) > 1e-3


@pytest.mark.slow
def test_one_process_reports(two):
    assert [told["reports"] for told in two] == [accelerate_run.CONFIG.steps, 0]


@pytest.mark.slow
def test_each_process_drops_other_numbers(two):
    """All rows are alike here, so that the processes differ in nothing but their chance."""
    first, second = (told["dropped"] for told in two)
    assert len(first) == len(second) == 14
    assert all(a != b for a, b in zip(first, second))


@pytest.mark.slow
def test_only_what_is_trained_goes_over_the_wire_and_experts_may_be_idle(two):
    """Four bits were sent before every step: half a gigabyte, for a base of a billion weights."""
    assert two[0]["qlora"] == two[1]["qlora"]
    first, second = (told["qlora_weights"] for told in two)
    assert first.keys() == second.keys() and all(first[name].equal(second[name]) for name in first)
    assert first["idle"].eq(1).all() and not first["second"].eq(1).any()
    sent, trained = two[0]["sent"], two[0]["trained"]
    at_start = sum(size for done, size in sent if done == 0)
    assert trained < at_start < 2.1 * trained  # the adapter, and the first step's gradients
    later = [sum(size for done, size in sent if done == step) for step in (1, 2, 3)]
    assert max(later) < 1.1 * trained < trained + two[0]["held"]


@pytest.mark.slow
def test_the_command_trains_on_both_and_one_of_them_writes(tmp_path):
    model = make_tiny_llama(max_position_embeddings=256)
    model.save_pretrained(tmp_path / "base")
    make_tiny_tokenizer().save_pretrained(tmp_path / "base")
    rows = tmp_path / "rows.jsonl"
    rows.write_text("".join(json.dumps(row) + "\n" for row in accelerate_run.ROWS))
    arguments = ["train", "--base", tmp_path / "base", "--data", rows, "--out", tmp_path / "run", "--steps", "4"]
    printed, progress = launched(RUN, "command", tmp_path, *arguments, "--batch-size", "4", "--checkpoint-every", "2")
    assert printed.count("Training ") == 1 and printed.count("The adapter is in ") == 1
    assert [line.split(" · ")[0] for line in progress.splitlines()] == [
        f"training: step {n} of 4" for n in (1, 2, 3, 4)
    ]
    told = [json.loads((tmp_path / f"{rank}.json").read_text()) for rank in (0, 1)]
    assert [t["status"] for t in told] == [0, 0]
    assert len(told[0]["written"]) > 5 and told[1]["written"] == []
    assert sorted(os.listdir(tmp_path / "run")) == ["adapter"]


def fsdp_arguments():
    parser = launch_command_parser()
    arguments = parser.parse_args(["--config_file", str(CONFIGS / "fsdp.yaml"), "train.py"])
    return _validate_launch_command(arguments)[0]


def test_accelerate_understands_the_configuration_for_fsdp():
    """As far as it can be seen without GPUs: what is written is what accelerate's own plugin makes of it."""
    arguments = fsdp_arguments()
    assert arguments.use_fsdp and arguments.num_processes == 2 and arguments.mixed_precision == "no"
    with patch_environment(**prepare_multi_gpu_env(arguments)):
        plugin = FullyShardedDataParallelPlugin()
    assert plugin.fsdp_version == 2
    model = make_tiny_llama()
    plugin.set_auto_wrap_policy(model)
    wrapped = [m for m in model.modules() if plugin.auto_wrap_policy(m, recurse=False, nonwrapped_numel=0)]
    assert wrapped == list(model.model.layers)
