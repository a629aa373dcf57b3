"""Which adapter ``labkit train`` trains: a new one as the options say, or, with ``--continue-from``, one that is there.

An adapter that goes on keeps its A and B, its settings and, for rows of your own, its system prompt.
"""

import argparse
from dataclasses import replace

from labkit.errors import ConfigError

_REMEDY = "Leave that option out, or train a new adapter without continue_from"


def targets(options: argparse.Namespace) -> str | list[str]:
    """What ``--targets`` names, as :class:`labkit.LoraConfig` takes it: ``"all-linear"``, or a list of names."""
    if options.targets in (None, "all-linear"):
        return "all-linear"
    names = [name.strip() for name in options.targets.split(",")]
    if not all(names):
        raise ConfigError(f"--targets takes names with a comma between them, got {options.targets!r}")
    return names


def origin_of(options: argparse.Namespace) -> dict:
    """What the new adapter's ``labkit.json`` says of the one it goes on from; empty without one.

    Raises:
        AdapterError: there is none, or it isn't as it should be.
    """
    from labkit.lora.files import WEIGHTS_FILE, read_about, read_config
    from labkit.storage.untrusted import digest_of

    if options.continue_from is None:
        return {}
    folder = options.continue_from
    read_config(folder)
    about = read_about(folder)
    if options.data:
        options.system = options.system or about.get("system")
    name = "/".join(folder.resolve().parts[-2:])  # no path of this machine, and more than the word adapter
    told = {field: about[field] for field in ("task", "data") if about.get(field)}
    return {"adapter": name, "sha256": digest_of(folder / WEIGHTS_FILE), **told}


def put_adapter_on(model, options: argparse.Namespace, origin: dict):
    """The adapter on `model`, ready to be trained; its config is returned.

    Raises:
        AdapterError: the one to go on from was trained on another base, or isn't as it should be.
        ConfigError: an option that `model` has no layer for, or that asks for other settings than that adapter has.
    """
    import torch

    import labkit

    layers = targets(options)
    _refuse_typos(model, layers)
    if origin:
        return _continued(model, options, layers, origin)
    rank = options.rank or 8
    lora = labkit.LoraConfig(
        r=rank,
        lora_alpha=2 * rank if options.alpha is None else options.alpha,
        lora_dropout=options.dropout or 0.0,
        target_modules=layers,
        use_rslora=options.rslora,
    )
    torch.manual_seed(options.seed)
    try:
        labkit.inject_lora(model, lora)
    except ConfigError as error:
        raise ConfigError(f"--targets {options.targets}: {error}") from None
    return lora


def _continued(model, options: argparse.Namespace, layers: str | list[str], origin: dict):
    from labkit.lora.files import read_adapter
    from labkit.lora.inject import resolve_targets
    from labkit.model_facts import note

    folder = options.continue_from
    adapter = read_adapter(model, folder)
    config = adapter.config
    asked = {"r": options.rank, "lora_alpha": options.alpha, "lora_dropout": options.dropout}
    asked |= {"use_rslora": True} if options.rslora else {}
    for name, value in asked.items():
        if value is not None and value != getattr(config, name):
            before = f"{name}={getattr(config, name)}"
            raise ConfigError(f"{folder} was trained with {before}, so it can't go on with {name}={value}. {_REMEDY}")
    if options.targets is not None:
        _, names = resolve_targets(model, replace(config, target_modules=layers))
        if others := {*names} ^ adapter.weights.keys():
            raise ConfigError(
                f"{folder} adapts other layers than target_modules={options.targets} says; {min(others)} is one that "
                f"differs. {_REMEDY}"
            )
    adapter.put_on(model)
    note(model, began_from=origin["sha256"])
    return config


def _refuse_typos(model, targets: str | list[str]) -> None:
    """ConfigError where one of several names that were typed is no layer's: what the others match would be trained."""
    from labkit.lora.patterns import endings

    there = {ending for name, _ in model.named_modules() for ending in endings(name)}
    if isinstance(targets, list) and (missed := [name for name in targets if name not in there]):
        raise ConfigError(f"--targets: no layer of this base is called {missed[0]}")
