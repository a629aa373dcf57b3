"""What the benchmarks share: candidates timed in turn, random adapters for labkit and PEFT alike, a stored result."""

import json
import time
from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from statistics import median
from threading import Semaphore, Thread

import peft
import torch
from torch import Tensor, nn
from torch.profiler import ProfilerActivity, profile

from labkit.lora.adapter import keys_of
from labkit.lora.config import LoraConfig
from labkit.lora.inject import resolve_targets
from studies.results import provenance, write_result


def seconds(work: Callable[[], object]) -> float:
    start = time.perf_counter()
    work()
    return time.perf_counter() - start


def in_turn(
    candidates: dict[str, Callable[[], object]],
    rounds: int,
    within: dict[str, Callable[[], AbstractContextManager]] | None = None,
) -> dict[str, list[float]]:
    """Seconds of each candidate, one after the other in every round, so that a slow moment meets all of them.

    Each round begins with another candidate. A first round, which warms up, is not counted; nor is entering and
    leaving what is named in `within`.
    """
    names, times = list(candidates), {name: [] for name in candidates}
    for turn in range(rounds + 1):
        for name in names[turn % len(names) :] + names[: turn % len(names)]:
            with (within or {}).get(name, nullcontext)():
                taken = seconds(candidates[name])
            if turn:
                times[name].append(taken)
    return times


class Halting:
    """A training loop that goes on by one step whenever it is called.

    Args:
        loop: is given a function, and calls it after each step with that step's loss.
    """

    def __init__(self, loop: Callable[[Callable[[float], None]], object]):
        self.losses, self.error = [], None
        self._go, self._halted = Semaphore(0), Semaphore(0)
        Thread(target=self._run, args=(loop,), daemon=True).start()

    def _run(self, loop):
        self._go.acquire()
        try:
            loop(self._halt)
        except BaseException as error:  # raised again where the loop is called from
            self.error = error
        self._halted.release()

    def _halt(self, loss: float) -> None:
        self.losses.append(loss)
        self._halted.release()
        self._go.acquire()

    def __call__(self) -> None:
        self._go.release()
        self._halted.acquire()
        if self.error:
            raise self.error


def ratio(times: dict[str, list[float]], slow: str, fast: str) -> float:
    """How many times faster `fast` is: the median over the rounds of the ratio within a round."""
    return median(s / f for s, f in zip(times[slow], times[fast]))


def where_the_time_goes(work: Callable[[], object]) -> dict[str, float]:
    """Milliseconds that `work` spends in each of the dozen operators that take longest, and in all others."""
    with profile(activities=[ProfilerActivity.CPU]) as profiler:
        work()
    found = sorted(profiler.key_averages(), key=lambda entry: -entry.self_cpu_time_total)
    times = {entry.key: round(entry.self_cpu_time_total / 1e3, 1) for entry in found}
    return dict([*times.items()][:12]) | {"all others": round(sum([*times.values()][12:]), 1)}


def random_adapter(model: nn.Module, config: LoraConfig, seed: int) -> dict[str, Tensor]:
    """An adapter for `model` whose B is not zero, under PEFT's key names."""
    generator, state = torch.Generator().manual_seed(seed), {}
    config, names = resolve_targets(model, config)
    for name in names:
        layer, r = model.get_submodule(name), config.rank_of(name)
        for key, shape in zip(keys_of(name), ((r, layer.in_features), (layer.out_features, r))):
            state[key] = 0.02 * torch.randn(shape, generator=generator)
    return state


def peft_with(model: nn.Module, config: LoraConfig, states: dict[str, dict[str, Tensor]]) -> peft.PeftModel:
    """PEFT's model of the base `model` with the adapters `states`, all of them of `config`."""
    config, _ = resolve_targets(model, config)
    theirs = peft.LoraConfig(r=config.r, lora_alpha=config.lora_alpha, target_modules=config.target_modules)
    first, *others = states
    wrapped = peft.get_peft_model(model, theirs, adapter_name=first)
    for name in others:
        wrapped.add_adapter(name, theirs)
    for name, state in states.items():
        peft.set_peft_model_state_dict(wrapped, state, adapter_name=name)
    return wrapped.eval()


def store(name: str, content: dict, *packages: str) -> None:
    """Write the result, with the machine and the versions it comes from (of `packages`, too), and print it."""
    about = provenance("transformers", "peft", *packages)
    content = {**about, "threads": torch.get_num_threads(), **content}
    write_result(name, content)
    print(json.dumps(content, indent=1))
