"""What a bank of many adapters costs: choosing one, answering with them, and their memory.

    python -m benchmarks.swap            # three minutes on two cores, 6 GB of memory

On the course's base, float32, random adapters of rank 8 on all linear layers.

- choosing: `activate` from 16 and from 256 adapters, against PEFT's `set_adapter` from 16.
- growth: the same work with `generate` from banks of 1 to 256 adapters, 16 rows of which each draws its adapter again
  every time; opening the rows is within the time taken.
- many: a thousand adapters on q and v, as the bank counts them and as the operating system does.
"""

import random
from itertools import cycle
from statistics import median

import psutil
import torch

import labkit
from benchmarks.side_by_side import in_turn, peft_with, random_adapter, ratio, seconds, store
from labkit import AdapterBank, LoraConfig

ADAPTERS, MORE, MANY = 16, 256, 1000
CONFIG = LoraConfig(r=8, lora_alpha=16, target_modules="all-linear")
SMALL = LoraConfig(r=8, lora_alpha=16, target_modules=["q_proj", "v_proj"])
CHOOSING_ROUNDS, CALLS = 15, 1000  # so many activations are timed together: one is too short for the clock
COUNTS, ROWS, PROMPT_TOKENS, NEW_TOKENS, GROWTH_ROUNDS = (1, 4, 16, 64, 256), 16, 8, 12, 9


def filled(count: int, config: LoraConfig, states: list[dict]) -> AdapterBank:
    """A bank on a base of its own. It makes its own copy of each adapter, so they may repeat."""
    model, _ = labkit.load_base(device="cpu")
    bank = AdapterBank(model)
    for i in range(count):
        bank.add(f"{i}", states[i % len(states)], config)
    return bank


def choosing(banks: list[AdapterBank], states: list[dict]) -> dict:
    """Milliseconds a choice takes, each time of another adapter than before."""
    base, _ = labkit.load_base(device="cpu")
    theirs = peft_with(base, CONFIG, {f"{i}": state for i, state in enumerate(states)})
    others = cycle(f"{i}" for i in range(len(states)))

    def activate(bank: AdapterBank):
        names = cycle(bank.names)

        def work():
            for _ in range(CALLS):
                bank.activate(next(names))

        return work

    peer = f"PEFT set_adapter, {len(states)} adapters"
    ours = {f"activate, {len(bank)} adapters": activate(bank) for bank in banks}
    times = in_turn({peer: lambda: theirs.set_adapter(next(others)), **ours}, CHOOSING_ROUNDS)
    times |= {name: [taken / CALLS for taken in times[name]] for name in ours}
    for bank in banks:
        bank.deactivate()
    return {
        "milliseconds": {name: 1e3 * median(taken) for name, taken in times.items()},
        "times faster": {name: ratio(times, peer, name) for name in ours},
        "seconds": times,
    }


@torch.no_grad()
def growth(bank: AdapterBank) -> dict:
    """Tokens per second of the same work, with the first few adapters of `bank` and with more."""
    tokens = torch.randint(3, 40_000, (ROWS, PROMPT_TOKENS), generator=torch.Generator().manual_seed(2))
    draw = random.Random(0)

    def work(count: int) -> None:
        with bank.rows(draw.choices(bank.names[:count], k=ROWS)) as model:
            out = model.generate(
                tokens,
                attention_mask=torch.ones_like(tokens),
                do_sample=False,
                min_new_tokens=NEW_TOKENS,
                max_new_tokens=NEW_TOKENS,
                pad_token_id=2,
            )
        assert out.shape == (ROWS, PROMPT_TOKENS + NEW_TOKENS)

    times = in_turn({f"{count}": lambda count=count: work(count) for count in COUNTS}, GROWTH_ROUNDS)
    relative = {count: ratio(times, count, "1") for count in times}
    return {
        "rows": ROWS,
        "new tokens per row": NEW_TOKENS,
        "tokens per second by adapters": {count: ROWS * NEW_TOKENS / median(taken) for count, taken in times.items()},
        "seconds relative to one adapter": relative,
        "slowest relative to one adapter": max(relative.values()),
        "seconds": times,
    }


def many() -> dict:
    """Bytes of a thousand adapters, counted by the bank and by the operating system."""
    bank = filled(0, SMALL, [])
    state = random_adapter(bank.model, SMALL, seed=0)

    def private_bytes() -> int:
        return psutil.Process().memory_full_info().uss

    before = private_bytes()
    taken = seconds(lambda: [bank.add(f"{i}", state, SMALL) for i in range(MANY)])
    grown = private_bytes() - before
    result = {
        "adapters": MANY,
        "lora": SMALL.to_peft(bank.model.labkit.base_name),
        "bytes by the bank": bank.nbytes,
        "bytes by the operating system": grown,
        "memory relative to the numbers": grown / bank.nbytes,
        "bytes of the base": sum(parameter.nbytes for parameter in bank.model.parameters()),
        "milliseconds to add one": 1e3 * taken / MANY,
    }
    bank.close()  # frees them before the next part
    return result


def main() -> None:
    weighed = many()  # first, while the process is small
    model, _ = labkit.load_base(device="cpu")
    states = [random_adapter(model, CONFIG, seed) for seed in range(ADAPTERS)]
    banks = [filled(count, CONFIG, states) for count in (ADAPTERS, MORE)]
    store(
        "swap",
        {
            "lora": CONFIG.to_peft(model.labkit.base_name),
            **choosing(banks, states),
            "growth": growth(banks[-1]),
            "many": weighed,
        },
    )


if __name__ == "__main__":
    main()
