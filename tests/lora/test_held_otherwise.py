"""An adapter on the base as it wasn't trained: it works, with other numbers, and every way in says so once."""

import warnings
from contextlib import contextmanager

import peft
import pytest
from adapted import adapted, randomise
from conftest import make_tiny_llama

from labkit import (
    AdapterBank,
    LabkitWarning,
    LoraConfig,
    inject_lora,
    load_adapter,
    merge,
    merge_and_unload,
    merge_into_dense,
    quantize_model,
    save_adapter,
    unmerge,
)
from labkit.cli import main
from labkit.model_facts import note

FORMS = {
    "dense": lambda: make_tiny_llama(),
    "nf4": lambda: quantize_model(make_tiny_llama()),
    "double": lambda: quantize_model(make_tiny_llama(), double=True),
}
FOUR_BITS = r"in four bits \(nf4 by labkit, blocks of 64"
SAID = {"dense": "dense", "nf4": FOUR_BITS + r"\)", "double": FOUR_BITS + r", double\)"}


def ways(model, path, source):
    return {
        "load_adapter": lambda: load_adapter(model, path),
        "bank": lambda: AdapterBank(model).add("a", path),
        "bank of models": lambda: AdapterBank(model).add("a", source),
    }


@contextmanager
def silent():
    with warnings.catch_warnings():
        warnings.simplefilter("error", LabkitWarning)
        yield


@pytest.mark.parametrize("way", ["load_adapter", "bank", "bank of models"])
@pytest.mark.parametrize("trained", FORMS)
@pytest.mark.parametrize("used", FORMS)
def test_every_way_in_says_it(way, trained, used, tmp_path):
    source = inject_lora(FORMS[trained](), LoraConfig(target_modules=["q_proj"]))
    enter = ways(FORMS[used](), save_adapter(source, tmp_path / "adapter"), source)[way]
    if trained == used:
        with silent():
            enter()
    else:
        said = f"trained on the base {SAID[trained]}, and here the base is {SAID[used]}, so answers may change a little"
        with pytest.warns(LabkitWarning, match=said) as caught:
            enter()
        assert len(caught) == 1 and caught[0].filename == __file__


def test_another_packer_of_the_same_form_is_no_other_form(tmp_path):
    pytest.importorskip("bitsandbytes")
    source = inject_lora(FORMS["nf4"](), LoraConfig(target_modules=["q_proj"]))
    model = quantize_model(make_tiny_llama(), "bitsandbytes")
    with silent():
        load_adapter(model, save_adapter(source, tmp_path / "adapter"))


def test_what_is_not_known_is_not_said(tmp_path):
    twin = peft.get_peft_model(make_tiny_llama(), peft.LoraConfig(target_modules=["q_proj"]))
    twin.save_pretrained(tmp_path / "adapter")
    with silent():
        load_adapter(FORMS["nf4"](), tmp_path / "adapter")


def test_merging_into_four_bits_warns_and_into_anything_else_does_not():
    model = inject_lora(FORMS["nf4"](), LoraConfig(target_modules=["q_proj"]))
    randomise(model)
    for merging in (merge, merge_and_unload):
        with pytest.warns(LabkitWarning, match="to four bits again.*merge_into_dense") as caught:
            merging(unmerge(model))
        assert len(caught) == 1
    with silent():
        merge(adapted())
        again = inject_lora(FORMS["nf4"](), LoraConfig(target_modules=["q_proj"]))
        merge_into_dense(again)


def test_on_the_command_line_it_is_one_line(tmp_path, tiny_tokenizer, capsys):
    make_tiny_llama(vocab_size=128, max_position_embeddings=512).save_pretrained(tmp_path / "base")
    tiny_tokenizer.save_pretrained(tmp_path / "base")
    model = inject_lora(make_tiny_llama(vocab_size=128), LoraConfig(target_modules=["q_proj"]))
    note(model, quantization="nf4 by labkit, blocks of 64")
    save_adapter(model, tmp_path / "adapter", {"system": "s"})
    (tmp_path / "rows.jsonl").write_text('{"prompt": "a", "completion": "b"}\n')
    chosen = ["--base", str(tmp_path / "base")]
    commands = {
        "merge": [str(tmp_path / "adapter"), str(tmp_path / "merged"), *chosen],
        "evaluate": ["--adapter", str(tmp_path / "adapter"), "--data", str(tmp_path / "rows.jsonl"), *chosen],
    }
    capsys.readouterr()
    for command, arguments in commands.items():
        assert main([command, *arguments]) == 0
        said = capsys.readouterr().err.splitlines()
        assert len(said) == 1 and said[0].startswith(
            f"labkit {command}: {tmp_path / 'adapter'}: this adapter was trained on the base in"
        )
