import dataclasses
import re
import time

import peft
import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from peft.utils.other import get_pattern_key

from labkit.errors import ConfigError
from labkit.lora import patterns
from labkit.lora.config import LoraConfig

Q, V = "model.layers.3.self_attn.q_proj", "model.layers.11.self_attn.v_proj"


@pytest.mark.parametrize(
    "target_modules, name, hit",
    [
        (None, Q, True),
        (None, V, True),
        (None, "model.layers.3.self_attn.k_proj", False),
        (["q_proj"], Q, True),
        (["q_proj"], "q_proj", True),
        (["q_proj"], "model.my_q_proj", False),
        (["q_proj"], "model.q_proj.inner", False),
        (["self_attn.q_proj"], Q, True),
        (["attn.q_proj"], Q, False),
        ([Q], Q, True),
        (["3.self_attn.q_proj"], "model.layers.13.self_attn.q_proj", False),
        (["q.proj"], Q, False),  # a name in a list is no regular expression
        (r".*\.q_proj", Q, True),
        (r"q_proj", Q, False),  # a regular expression is for the whole name
        (r".*layers\.(3|4)\..*_proj", Q, True),
        (r".*layers\.(3|4)\..*_proj", V, False),
    ],
)
def test_names_match_at_a_dot(target_modules, name, hit):
    assert LoraConfig(target_modules=target_modules).targets(name) is hit
    wanted = peft.LoraConfig(target_modules=target_modules or ["q_proj", "v_proj"])
    assert bool(peft.tuners.tuners_utils.check_target_module_exists(wanted, name)) is hit


PARTS = st.sampled_from(["model", "layers", "h", "0", "1", "12", "experts", "q_proj", "my_q_proj", "attn", "v_proj"])
NAMES = st.lists(PARTS, min_size=1, max_size=6).map(lambda parts: ".".join(["model", *parts]))
TARGETS = st.lists(st.lists(PARTS, min_size=1, max_size=3).map(".".join), min_size=1, max_size=3)


@given(
    name=NAMES,
    target_modules=TARGETS,
    exclude_modules=st.one_of(st.none(), TARGETS),
    layers_to_transform=st.one_of(st.none(), st.just([]), st.sampled_from([0, 1, 12]), st.lists(st.integers(0, 12))),
    layers_pattern=st.one_of(
        st.none(), st.sampled_from(["layers", "h", ["h", "layers"], ["experts"], r"lay\w+", "layers|h"])
    ),
)
@example(
    name="model.0.q_proj", target_modules=["q_proj"], exclude_modules=None, layers_to_transform=0, layers_pattern=None
)
@example(name="model.h", target_modules=["model.h"], exclude_modules=None, layers_to_transform=0, layers_pattern=None)
def test_layers_are_chosen_as_peft_chooses_them(name, layers_to_transform, layers_pattern, **fields):
    if layers_to_transform is not None:
        fields |= {"layers_to_transform": layers_to_transform, "layers_pattern": layers_pattern}
    theirs = peft.tuners.tuners_utils.check_target_module_exists(peft.LoraConfig(**fields), name)
    excluded = type(theirs).__name__ == "_ExcludedModule"
    assert LoraConfig(**fields).targets(name) is (bool(theirs) and not excluded)


def test_r_and_alpha_by_pattern():
    config = LoraConfig(rank_pattern={"v_proj": 2, r"layers\.3\..*": 5}, alpha_pattern={"q_proj": 1.5})
    assert (config.rank_of(Q), config.rank_of(V), config.rank_of("model.lm_head")) == (5, 2, 8)
    assert (config.alpha_of(Q), config.alpha_of(V)) == (1.5, 8)
    assert config.rank_of("model.my_v_proj") == 8


def test_patterns_that_disagree_are_refused():
    config = LoraConfig(rank_pattern={"q_proj": 2, r"layers\.3\..*": 5}, alpha_pattern={"v_proj": 2, ".*_proj": 3})
    with pytest.raises(ConfigError, match=f"rank_pattern: several keys match {Q} and disagree"):
        config.rank_of(Q)
    with pytest.raises(ConfigError, match=f"alpha_pattern: several keys match {V} and disagree"):
        config.alpha_of(V)
    assert (config.rank_of(V), config.alpha_of(Q)) == (8, 3)


KEYS = st.one_of(
    TARGETS.map(lambda lists: lists[0]),
    TARGETS.map(lambda lists: "^" + lists[0]),
    TARGETS.map(lambda lists: lists[0].replace(".", r"\.") + "$"),
    st.text("mo.12qh_\\^$|()w+", min_size=1, max_size=6).filter(lambda key: _compiles(rf"(.*\.)?({key})$")),
)


def _compiles(pattern: str) -> bool:
    try:
        return bool(re.compile(pattern))
    except re.error:
        return False


@given(name=NAMES, keys=st.lists(KEYS, min_size=1, max_size=6, unique=True))
@example(name="model.h1q_proj", keys=["h.q_proj", r"h\.q_proj", "^model.h1q.proj", "^h.q_proj"])
def test_a_key_matches_what_it_matches_in_peft(name, keys):
    theirs = {number for number, key in enumerate(keys, 1) if get_pattern_key([key], name) == key != name}
    theirs |= {number for number, key in enumerate(keys, 1) if key == name and re.match(rf"(.*\.)?({key})$", name)}
    assert patterns.ByKey({key: number for number, key in enumerate(keys, 1)}, "").match(name) == theirs


def test_twenty_thousand_names_are_looked_up_and_not_tried_one_by_one():
    names = [f"model.layers.{i}.mlp.experts.{j}.up_proj" for i in range(100) for j in range(200)]
    before = time.perf_counter()
    fields = {"target_modules": names, "exclude_modules": names[1:], "layers_to_transform": [*range(1_000_000)]}
    config = LoraConfig(**fields, rank_pattern={f"^{name}": 2 for name in names}, alpha_pattern=dict.fromkeys(names, 3))
    found = [(config.targets(n), config.rank_of(n), config.alpha_of(n)) for n in [*names[:1000], "model.lm_head"]]
    assert found == [(True, 2, 3), *[(False, 2, 3)] * 999, (False, 8, 8)]
    assert time.perf_counter() - before < 5 and config.regular_expressions() == []


@pytest.mark.parametrize(
    "fields, message",
    [
        ({"target_modules": ["a"] * 100_001}, "target_modules has 100,001 entries, more than 100,000"),
        ({"exclude_modules": ["a"] * 100_001}, "exclude_modules has 100,001 entries"),
        ({"rank_pattern": {f"a{i}": 1 for i in range(100_001)}}, "rank_pattern has 100,001 entries"),
        ({"alpha_pattern": {f"a{i}|b": 1 for i in range(2000)}}, "alpha_pattern has 12,890 characters of regular exp"),
        ({"rank_pattern": {"a" * i: 1 for i in range(1, 1100)}}, "rank_pattern has .* characters of regular exp"),
        ({"target_modules": "a|" * 5001}, "target_modules has 10,002 characters of regular exp"),
        ({"exclude_modules": "a|" * 5001}, "exclude_modules has 10,002 characters"),
        ({"layers_pattern": ["h"] * 10_001, "layers_to_transform": 0}, "layers_pattern has 10,001 characters"),
    ],
)
def test_there_is_a_bound_on_what_is_searched(fields, message):
    with pytest.raises(ConfigError, match=message):
        LoraConfig(**fields)


def test_what_may_take_for_ever_is_named_with_how_it_is_matched():
    config = LoraConfig(
        target_modules=r".*\.q_proj",
        exclude_modules="model.lm_head",
        rank_pattern={"q_proj": 1, "(q|v)_proj": 2},
        alpha_pattern={r"^model\.layers\.0$": 1, "[qv]_proj": 2},
    )
    assert config.regular_expressions() == [
        ("fullmatch", r".*\.q_proj"),
        ("match", r"(.*\.)?((q|v)_proj)$"),
        ("match", r"(.*\.)?([qv]_proj)$"),
    ]
    config = LoraConfig(layers_to_transform=0, layers_pattern=["layers", "h+"])
    assert config.regular_expressions() == [("match", r"(?:^|.*?\.)h+\.(?P<number>\d+)\.")]


def test_targets_are_sorted():
    assert LoraConfig(target_modules={"v_proj", "q_proj"}, exclude_modules=("b", "a")) == LoraConfig(
        target_modules=["q_proj", "v_proj"], exclude_modules=["a", "b"]
    )


CONFIGS = [
    {},
    {"r": 4, "lora_alpha": 2.5, "lora_dropout": 0.1, "use_rslora": True, "init_lora_weights": "gaussian"},
    {"target_modules": ["v_proj", "q_proj"], "exclude_modules": r".*\.0\..*"},
    {"target_modules": ["q_proj"], "layers_to_transform": [0, 2], "layers_pattern": "layers"},
    {"target_modules": r".*q_proj", "rank_pattern": {"q_proj": 3}, "alpha_pattern": {"q_proj": 4}, "task_type": None},
]


@pytest.mark.parametrize("fields", CONFIGS)
def test_there_and_back(fields):
    config = LoraConfig(**fields)
    spelled_out = dataclasses.replace(config, target_modules=config.target_modules or ["q_proj", "v_proj"])
    assert LoraConfig.from_peft(config.to_peft("someone/model")) == spelled_out


@pytest.mark.parametrize("fields", CONFIGS)
def test_peft_understands_what_is_written(fields):
    written = LoraConfig(**fields).to_peft("someone/model")
    theirs = peft.LoraConfig.from_peft_type(**written).to_dict()
    assert theirs["peft_type"] == "LORA" and theirs["base_model_name_or_path"] == "someone/model"
    for name, value in written.items():
        assert theirs[name] == (set(value) if name.endswith("_modules") and isinstance(value, list) else value)


@pytest.mark.parametrize(
    "fields, message",
    [
        ({"r": 0}, "^r must be a whole number"),
        ({"r": "8"}, "got '8'"),
        ({"r": True}, "got True"),
        ({"r": 8.0}, "got 8.0"),
        ({"rank_pattern": {"q_proj": 0}}, "^rank_pattern: r must be a whole number"),
        ({"rank_pattern": {"x": "y"}}, "^rank_pattern: r must be a whole number"),
        ({"rank_pattern": {"(": 4}}, "rank_pattern: .* is not a regular expression"),
        ({"rank_pattern": {"(?i)q_proj": 4}}, "rank_pattern: .* is not a regular expression"),
        ({"lora_alpha": -1}, "lora_alpha"),
        ({"lora_alpha": float("nan")}, "lora_alpha"),
        ({"lora_alpha": float("inf")}, "lora_alpha"),
        ({"lora_alpha": 10**400}, "lora_alpha"),
        ({"lora_alpha": "16"}, "lora_alpha"),
        ({"alpha_pattern": {"q_proj": -2}}, "^alpha_pattern: α must be a number"),
        ({"alpha_pattern": {")": 2}}, "alpha_pattern: .* is not a regular expression"),
        ({"lora_dropout": 1.0}, "lora_dropout"),
        ({"lora_dropout": None}, "lora_dropout"),
        ({"use_rslora": "no"}, "use_rslora"),
        ({"init_lora_weights": "pissa"}, "init_lora_weights='pissa'"),
        ({"init_lora_weights": False}, "init_lora_weights=False"),
        ({"task_type": "SEQ_CLS"}, "task_type='SEQ_CLS'"),
        ({"target_modules": 5}, "target_modules must be a list of names"),
        ({"target_modules": [5]}, "target_modules must be a list of names"),
        ({"target_modules": ["q_proj", None]}, "target_modules must be a list of names"),
        ({"target_modules": {"q_proj": 1}}, "target_modules must be a list of names"),
        ({"target_modules": "*_proj"}, r"target_modules: '\*_proj' is not a regular expression"),
        ({"exclude_modules": 5}, "exclude_modules must be a list of names"),
        ({"exclude_modules": "("}, "exclude_modules: .* is not a regular expression"),
        ({"layers_pattern": "layers"}, "needs layers_to_transform"),
        ({"layers_pattern": "(", "layers_to_transform": 1}, "layers_pattern: .* is not a regular expression"),
        ({"layers_to_transform": "0"}, "layers_to_transform must be whole numbers"),
        ({"layers_to_transform": ["0"]}, "layers_to_transform must be whole numbers"),
        ({"layers_to_transform": ""}, "layers_to_transform must be whole numbers"),
        ({"layers_to_transform": 0.0}, "layers_to_transform must be whole numbers"),
        ({"layers_to_transform": 0.5}, "layers_to_transform must be whole numbers"),
        ({"layers_to_transform": 0, "target_modules": ".*q_proj"}, "layers_to_transform needs a list of names"),
    ],
)
def test_settings_that_cannot_be(fields, message):
    with pytest.raises(ConfigError, match=message):
        LoraConfig(**fields)


@pytest.mark.parametrize("peft_type", ["LOHA", "lora", None, 5])
def test_other_methods_are_refused(peft_type):
    with pytest.raises(ConfigError, match=re.escape(f"peft_type={peft_type!r} is not LoRA")):
        LoraConfig.from_peft({"peft_type": peft_type})


@pytest.mark.parametrize("nothing", [None, False, "", [], {}])
def test_a_field_nobody_knows_is_refused_unless_it_is_off(nothing):
    assert LoraConfig.from_peft({"use_tomorrow": nothing}) == LoraConfig()
    with pytest.raises(ConfigError, match="use_tomorrow=True goes beyond plain LoRA"):
        LoraConfig.from_peft({"use_tomorrow": True})


@pytest.mark.parametrize("field", ["velora_config", "kasa_config", "arrow_config", "use_bdlora", "monteclora_config"])
def test_what_peft_switches_on_by_an_empty_object_is_refused(field):
    assert LoraConfig.from_peft({field: None}) == LoraConfig()
    with pytest.raises(ConfigError, match=f"^{field}={{}} goes beyond plain LoRA"):
        LoraConfig.from_peft({field: {}})


OTHER_TRAINERS = {
    "Unsloth": {"auto_mapping": {"unsloth_fixed": True}, "unsloth_fixed": True, "unsloth_version": "2026.3.3"},
    "ms-swift": {"lora_dtype": None, "lorap_lr_ratio": 16.0, "lorap_emb_lr": 1e-06, "use_merged_linear": False},
    "PEFT 0.2": {"merge_weights": False, "enable_lora": None},
    "PEFT 0.3, where it needed no layers": {"layers_pattern": "layers", "layers_to_transform": None},
    "an empty list of layers": {"layers_to_transform": [], "layers_pattern": []},
    "a switch nobody set": {"use_rslora": None, "lora_bias": None, "use_dora": None},
}


@pytest.mark.parametrize("fields", OTHER_TRAINERS.values(), ids=OTHER_TRAINERS)
def test_what_other_trainers_write_and_does_nothing_is_read(fields):
    read = LoraConfig.from_peft({"peft_type": "LORA", "target_modules": ["q_proj"], **fields})
    assert dataclasses.replace(read, layers_to_transform=None, layers_pattern=None) == LoraConfig(
        target_modules=["q_proj"]
    )
