"""In which form a base is held: dense or in four bits, and in which dtype. An adapter fits the form it was trained on.

On another one it works, with other answers: rounding to NF4 moves a weight by a tenth of its size, and an adapter that
learned with these errors in view copes with them. Seen on 64 tickets after 50 steps: an adapter trained in four bits
got 61 right there and 64 on the dense base; one trained on the dense base got 64 right there and 49 in four bits.
Put an adapter onto a model, and you're told once, in one sentence.
"""

import re
from dataclasses import dataclass
from pathlib import Path

from torch import nn

from labkit.errors import warn
from labkit.linear import ORDINARY, is_linear, weight_dtype
from labkit.lora.wrapping import AdaptedLinear
from labkit.model_facts import facts_of
from labkit.storage.untrusted import plain


@dataclass(frozen=True)
class BaseForm:
    """How a base is held.

    Attributes:
        quantization: of its linear layers, in words (``"nf4 by labkit, blocks of 64, double"``); None where dense.
        dtype: of the weights that stay dense, and of a packed one once it's dense again (``"bfloat16"``); None where
            it's not known.
    """

    quantization: str | None = None
    dtype: str | None = None

    @property
    def settings(self) -> dict[str, object]:
        """What to tell :func:`labkit.load_base` for this form: ``quantize`` and ``double``; nothing where dense.

        Whose layers hold the four bits isn't said: labkit's have the bits of bitsandbytes' (of double scales, nearly).
        """
        found = re.fullmatch(r"nf4 by \w+, blocks of 64(, double)?", self.quantization or "")
        if not found:
            return {}
        return {"quantize": "nf4"} | ({"double": True} if found[1] else {})

    def packed_like(self, other: "BaseForm") -> bool:
        """Whether both are packed alike, or neither is. A dtype alone changes far less, and isn't compared."""
        return str(self.quantization).partition(",")[2] == str(other.quantization).partition(",")[2]

    def __str__(self) -> str:
        return f"in four bits ({plain(self.quantization)})" if self.quantization else "dense"


def form_of(model: nn.Module) -> BaseForm:
    """The form of the base that `model` is, or that is under its LoRA layers."""
    dtype = None
    for module in model.modules():
        layer = module.base_layer if isinstance(module, AdaptedLinear) else module
        if is_linear(layer):
            dtype = str(weight_dtype(layer)).removeprefix("torch.")
            break
    return BaseForm(facts_of(model).quantization, dtype)


def form_needed(about: dict) -> BaseForm | None:
    """The form of the base that the adapter of this ``labkit.json`` was trained on; None where nothing is said of it.

    Folders of PEFT say nothing, and older ones of labkit only whether the base was in four bits.
    """
    base = about.get("base")
    if not isinstance(base, dict):
        return None
    dtype = base.get("dtype")
    known = {str(each).removeprefix("torch.") for each in ORDINARY}  # a stranger may have written anything
    return BaseForm(base.get("quantization"), dtype if dtype in known else None)


def warn_if_held_otherwise(model: nn.Module, about: dict, where: Path | str) -> None:
    """A LabkitWarning, beginning with `where`, where the adapter learned on the base in another form than `model` is
    in: in four bits and not dense, say."""
    then, now = form_needed(about), form_of(model)
    if then is None or then.packed_like(now):
        return
    if then.settings:
        way = f"with {' and '.join(f'{name}={_quoted(value)}' for name, value in then.settings.items())}"
    else:
        way = "as it was in training" if then.quantization else 'without quantize="nf4"'
    worse = now.quantization and not then.quantization  # it never met the rounding
    cost = "more answers may be wrong" if worse else "answers may change a little"
    warn(
        f"{where}: this adapter was trained on the base {then}, and here the base is {now}, so {cost}. Load the base "
        f"{way} to get those that it learned"
    )


def _quoted(value: object) -> str:
    return f'"{value}"' if isinstance(value, str) else str(value)
