"""Many adapters on one frozen base: switched in an instant, blended, or mixed in one batch."""

import math
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import partial
from pathlib import Path

import torch
from torch import Tensor, nn

from labkit.casting import is_finite
from labkit.errors import AdapterError, ConfigError
from labkit.linear import ORDINARY, device_of, is_linear
from labkit.lora import routes
from labkit.lora.adapter import Adapter, adapter_of, fitted, refuse_other_base
from labkit.lora.base_form import warn_if_held_otherwise
from labkit.lora.config import LoraConfig
from labkit.lora.files import read_adapter
from labkit.lora.inject import refuse_bank
from labkit.lora.routes import Route
from labkit.lora.wrapping import is_adapted
from labkit.model_facts import note

# what a row can ask for: an adapter, a blend of some by weight, or the base alone
Choice = str | Mapping[str, float] | None


class AdapterBank:
    """Adapters that are served from one model, whose own weights never change.

        bank = AdapterBank(model)
        bank.add("sql", "adapters/sql")
        bank.activate("sql")                            # every row, until told otherwise
        with bank.rows(["sql", None, "voice"]):         # each row its own, or none
            model.generate(...)

    Each linear layer of the model gets one forward hook, which adds what the present choice asks for to the
    layer's answer. The layers themselves stay where they are, dense or 4-bit, and a choice is one object that
    all hooks look at: choosing costs the same for one adapter and for a thousand.

    The bank serves and does not train: in train mode a chosen adapter is refused, and dropout plays no part. It is
    meant for one thread at a time. Adapters lie where their layer lies, and follow it when the model is moved.

    Args:
        model: a model without LoRA layers. Only :meth:`close` takes the hooks out again.
        dtype: in which the adapters are held and computed, float32 by default. 16 bits halve them.

    Attributes:
        model: the model given; it has the bank as ``model.labkit.bank``.

    Raises:
        ConfigError: the model has LoRA layers or a bank already; adapters can't be computed in `dtype`.

    Source: Punica, arXiv 2310.18547; S-LoRA, arXiv 2311.03285.
    """

    def __init__(self, model: nn.Module, dtype: torch.dtype = torch.float32):
        refuse_bank(model)
        if is_adapted(model):
            raise ConfigError("this model has LoRA layers: save their adapter, and make the bank on a fresh base")
        if dtype not in ORDINARY:
            raise ConfigError(f"adapters are held as floating point numbers of at least 16 bits, got {dtype!r}")
        self.model, self.dtype = model, dtype
        self._adapters: dict[str, Route] = {}
        self._active: Choice = None
        self._route = routes.BASE
        self._blocks = 0  # how many `with` blocks are open
        self._layers = {name: module for name, module in model.named_modules() if is_linear(module)}
        self._hooks = []
        try:
            for name, layer in self._layers.items():
                self._hooks.append(layer.register_forward_hook(partial(self._add_update, name)))
            note(model, bank=self)
        except BaseException:
            self.close()
            raise

    def _add_update(self, name: str, _: nn.Module, inputs: tuple[Tensor], result: Tensor) -> Tensor | None:
        if name not in self._route.updates:
            return None
        if self.model.training:
            raise ConfigError("an AdapterBank serves and does not train: call model.eval() first, or bank.deactivate()")
        if self._route.updates[name][0].device != result.device:
            self._route.follow(self._layers)
        return self._route.apply(name, inputs[0], result)

    def add(
        self,
        name: str,
        source: Path | str | nn.Module | Mapping[str, Tensor],
        config: LoraConfig | None = None,
    ) -> None:
        """Take an adapter into the bank. The model and the present choice stay as they are.

        Args:
            name: what to call it.
            source: a folder written by :func:`labkit.save_adapter` or by PEFT; another model of the same base, with
                LoRA layers from :func:`labkit.inject_lora`; or the tensors under PEFT's key names. They are copied.
            config: what the tensors are, where `source` is tensors.

        Raises:
            AdapterError: the adapter is damaged, is for another base, or does not fit this model. Nothing is
                changed then.
            ConfigError: the name is taken or empty; there are tensors without a config, or a config without
                tensors; the bank is closed.
        """
        if not isinstance(name, str) or not name:
            raise ConfigError(f"an adapter's name must be text, got {name!r}")
        if name in self._adapters:
            raise ConfigError(f"the bank has an adapter called {name!r} already: remove it first, or choose another")
        if isinstance(source, Mapping) != isinstance(config, LoraConfig):
            raise ConfigError("tensors need a LoraConfig that says what they are; a folder or a model brings its own")
        where = f"adapter {name!r}"
        if isinstance(source, Mapping):
            adapter = fitted(self.model, config, source, where=where)
        elif isinstance(source, nn.Module):
            theirs = adapter_of(source, where)
            refuse_other_base(self.model, theirs.about, where)
            adapter = fitted(self.model, theirs.config, theirs.state(), where=where)
            warn_if_held_otherwise(self.model, theirs.about, where)
        else:
            adapter = read_adapter(self.model, source)
        self._adapters[name] = Route(self._updates(adapter, where))

    def _updates(self, adapter: Adapter, where: str) -> dict[str, tuple[Tensor, Tensor]]:
        """Of each layer: scaling · A, shape (1, r, in_features), and Bᵀ, shape (1, r, out_features)."""
        updates = {}
        for name, pair in adapter.weights.items():
            layer = self.model.get_submodule(name)
            if self._layers.get(name) is not layer:
                raise ConfigError(f"{name} is not the layer it was when the bank was made, or the bank is closed")
            A, B = (matrix.detach().to(device_of(layer), torch.float32) for matrix in pair)
            A = (adapter.config.scaling_of(name) * A).to(self.dtype)[None]
            B = B.to(self.dtype).T.clone(memory_format=torch.contiguous_format)[None]
            if not (is_finite(A) and is_finite(B)):
                raise AdapterError(f"{where}: the update of {name} is too large for {self.dtype}")
            updates[name] = (A, B)
        return updates

    def remove(self, name: str) -> None:
        """Forget an adapter.

        Raises:
            ConfigError: there is none of that name, or it is in use.
        """
        self._refuse_in_block("remove an adapter")
        self._check_name(name)
        if name == self._active or (isinstance(self._active, Mapping) and name in self._active):
            raise ConfigError(f"{name!r} is in use: deactivate it first")
        del self._adapters[name]

    def activate(self, name: str) -> None:
        """Let every row take the adapter `name` from now on. Takes the same time whatever the bank holds.

        Raises:
            ConfigError: there is none of that name, or a ``with`` block of the bank is open.
        """
        self._refuse_in_block("activate an adapter")
        self._check_name(name)
        self._route, self._active = self._adapters[name], name

    def deactivate(self) -> None:
        """Let the model answer as its base does.

        Raises:
            ConfigError: a ``with`` block of the bank is open.
        """
        self._refuse_in_block("deactivate an adapter")
        self._route, self._active = routes.BASE, None

    def blend(self, weights: Mapping[str, float]) -> None:
        """Let every row take the weighted sum of several updates from now on: ΔW = Σ wᵢ ΔWᵢ.

        Args:
            weights: of each adapter by name, any finite numbers; ``{"a": 0.5, "b": 0.5}`` is the mean.

        Raises:
            ConfigError: there is none of that name; a weight is no finite number, or makes an update too large for the
                bank's dtype; a ``with`` block is open.
        """
        self._refuse_in_block("blend adapters")
        self._check_weights(weights)
        self._route, self._active = self._route_of(weights), dict(weights)

    @contextmanager
    def rows(self, choices: Sequence[Choice], copies: int = 1) -> Iterator[nn.Module]:
        """Inside the ``with`` block, row i of every batch takes ``choices[i]``; afterwards all is as before.

        The rows' matrices are copied side by side on entering, once for all tokens: that takes memory of about the
        number of rows times an adapter (one adapter, where all rows ask for the same).

        Args:
            choices: for each row an adapter's name, weights as for :meth:`blend`, or None for the base.
            copies: how often ``generate`` repeats each row: the larger of ``num_beams`` and ``num_return_sequences``.

        Yields:
            The model. It refuses batches of any other number of rows.

        Raises:
            ConfigError: no choices; a name that is not here; fewer than one copy.
        """
        if isinstance(choices, (str, Mapping)) or not len(choices):
            raise ConfigError(f"rows needs a list with one choice for each row, got {choices!r}")
        if type(copies) is not int or copies < 1:
            raise ConfigError(f"copies must be a whole number of at least 1, got {copies!r}")
        for choice in choices:
            self._check(choice)
        # a weighted choice cannot be a key, its items can; rows that ask for the same share one route
        keys = [tuple(choice.items()) if isinstance(choice, Mapping) else choice for choice in choices]
        found = {key: self._route_of(choice) for key, choice in dict(zip(keys, choices)).items()}
        with self._routed(routes.row_by_row([found[key] for key in keys for _ in range(copies)])):
            yield self.model

    @contextmanager
    def disabled(self) -> Iterator[nn.Module]:
        """Inside the ``with`` block, the model answers as its base does; afterwards all is as before."""
        with self._routed(routes.BASE):
            yield self.model

    @contextmanager
    def _routed(self, route: Route) -> Iterator[None]:
        before = self._route, self._blocks
        try:
            self._route, self._blocks = route, self._blocks + 1
            yield
        finally:
            self._route, self._blocks = before

    def close(self) -> None:
        """Take the bank off the model, which is then as it was before, and forget all adapters.

        Raises:
            ConfigError: a ``with`` block of the bank is open.
        """
        self._refuse_in_block("close the bank")
        for hook in self._hooks:
            hook.remove()
        self._hooks.clear(), self._layers.clear(), self._adapters.clear()
        self._route, self._active = routes.BASE, None
        note(self.model, bank=None)

    @property
    def active(self) -> Choice:
        """What every row takes outside of ``rows``: a name, the weights of a blend, or None for the base."""
        return dict(self._active) if isinstance(self._active, Mapping) else self._active

    @property
    def names(self) -> list[str]:
        """The adapters held, in the order in which they were added."""
        return list(self._adapters)

    @property
    def nbytes(self) -> int:
        """Bytes of the adapters held. A blend and the rows of an open ``with`` block come on top."""
        return sum(
            matrix.nbytes for route in self._adapters.values() for pair in route.updates.values() for matrix in pair
        )

    @property
    def rows_open(self) -> bool:
        """Whether rows have choices of their own at present."""
        return self._route.rows is not None

    def __len__(self) -> int:
        return len(self._adapters)

    def __contains__(self, name: object) -> bool:
        return name in self._adapters

    def _check(self, choice: Choice) -> None:
        if isinstance(choice, Mapping):
            self._check_weights(choice)
        elif choice is not None:
            self._check_name(choice)

    def _check_name(self, name: str) -> None:
        if not isinstance(name, str) or name not in self._adapters:
            held = ", ".join(self.names[:8]) + (", …" if len(self) > 8 else "")
            raise ConfigError(f"the bank has no adapter called {name!r}; it has {held or 'none'}")

    def _check_weights(self, weights: Mapping[str, float]) -> None:
        if not isinstance(weights, Mapping) or not weights:
            raise ConfigError(f"a blend needs the weight of each adapter by name, got {weights!r}")
        for name, weight in weights.items():
            self._check_name(name)
            if type(weight) not in (int, float) or not math.isfinite(weight):
                raise ConfigError(f"the weight of {name!r} must be a finite number, got {weight!r}")

    def _route_of(self, choice: Choice) -> Route:
        if choice is None:
            return routes.BASE
        for name in choice if isinstance(choice, Mapping) else [choice]:
            self._adapters[name].follow(self._layers)
        if isinstance(choice, Mapping):
            return routes.blend([self._adapters[name] for name in choice], list(choice.values()))
        return self._adapters[choice]

    def _refuse_in_block(self, what: str) -> None:
        if self._blocks:
            raise ConfigError(f"cannot {what} inside a with block of the bank: it would be undone when the block ends")
