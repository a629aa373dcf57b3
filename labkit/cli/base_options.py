"""The options that say which base a command loads, in which form and where; and the loading of it."""

import argparse

from labkit.cli.values import text
from labkit.errors import ConfigError

FORMS = ("nf4", "none")
DTYPES = ("float32", "bfloat16", "float16")


def add_base_options(sub: argparse.ArgumentParser, otherwise: str = "none") -> None:
    """``--base``, ``--quantize``, ``--double``, ``--dtype`` and ``--device``.

    Args:
        otherwise: what ``--quantize`` is when it's left out, in words.
    """
    sub.add_argument("--base", type=text, help="another base: a model's folder or hub id")
    add_quantize_options(sub, otherwise)
    sub.add_argument(
        "--dtype", choices=DTYPES, help="of the base's weights (float32; bfloat16 for another base on a GPU)"
    )
    add_device_option(sub)


def add_quantize_options(sub: argparse.ArgumentParser, otherwise: str = "none") -> None:
    """``--quantize`` and ``--double`` alone."""
    sub.add_argument("--quantize", choices=FORMS, help=f"hold the base's linear layers in four bits ({otherwise})")
    sub.add_argument("--double", action="store_true", help="with --quantize nf4: quantize its scales, too")


def add_device_option(sub: argparse.ArgumentParser) -> None:
    """``--device`` alone."""
    sub.add_argument("--device", type=text, help="cpu, cuda, or cuda:1 for the second GPU (a GPU, if there is one)")


def refuse_double_alone(options: argparse.Namespace) -> None:
    """ConfigError where ``--double`` has no four bits to be about."""
    if options.double and options.quantize != "nf4":
        raise ConfigError("--double is about the scales of four bits: say --quantize nf4 as well")


def load_base_for(options: argparse.Namespace, about: dict | None = None):
    """The base and its tokenizer, as the options say.

    What they don't say is as the adapter knew it: an adapter goes onto the kind of base it was trained on.

    Args:
        options: of a command with :func:`add_base_options`.
        about: the adapter's ``labkit.json``, if there is an adapter.

    Raises:
        ConfigError, BaseModelError: as :func:`labkit.load_base`.
    """
    import labkit
    from labkit.lora.base_form import form_needed

    refuse_double_alone(options)
    needed = form_needed(about or {})
    if options.quantize is None and needed:
        held = needed.settings
    else:
        held = {"quantize": "nf4", "double": options.double} if options.quantize == "nf4" else {}
    dtype = options.dtype or (needed and needed.dtype)
    return labkit.load_base(options.base, dtype=dtype, device=options.device, **held)
