"""Choosing another adapter: AdapterBank.activate against PEFT's set_adapter. And what a thousand adapters weigh.

    python benchmarks/swap.py            # two minutes on two cores, 4 GB of memory

On the course's base, float32. Choosing: 16 adapters of rank 8 on all linear layers for both; then the bank with 256.
Memory: a thousand adapters of rank 8 on q and v; the process's private memory is compared with the bank's own count.
"""

from itertools import cycle
from statistics import median

import psutil
from side_by_side import in_turn, peft_with, random_adapter, ratio, seconds, store

import labkit
from labkit import AdapterBank, LoraConfig

ADAPTERS, MORE, MANY, ROUNDS = 16, 256, 1000, 15
CONFIG = LoraConfig(r=8, lora_alpha=16, target_modules="all-linear")
SMALL = LoraConfig(r=8, lora_alpha=16, target_modules=["q_proj", "v_proj"])
CALLS = 1000  # activations timed together, because one is too short for the clock


def private_bytes() -> int:
    return psutil.Process().memory_full_info().uss


def choosing() -> dict:
    """Milliseconds a choice takes, each time of another adapter than before."""
    base, _ = labkit.load_base(device="cpu")
    few, _ = labkit.load_base(device="cpu")
    states = {f"{i}": random_adapter(base, CONFIG, seed=i) for i in range(ADAPTERS)}
    banks = {ADAPTERS: AdapterBank(few)}
    for name, state in states.items():
        banks[ADAPTERS].add(name, state, CONFIG)
    many, _ = labkit.load_base(device="cpu")
    banks[MORE] = AdapterBank(many)
    for i in range(MORE):
        banks[MORE].add(f"{i}", states[f"{i % ADAPTERS}"], CONFIG)
    theirs = peft_with(base, CONFIG, states)

    def activate(bank):
        names = cycle(bank.names)

        def work():
            for _ in range(CALLS):
                bank.activate(next(names))

        return work

    others = cycle(states)
    peft_name = f"PEFT set_adapter, {ADAPTERS} adapters"
    ways = {peft_name: lambda: theirs.set_adapter(next(others))}
    ways |= {f"activate, {count} adapters": activate(bank) for count, bank in banks.items()}
    times = in_turn(ways, ROUNDS)
    for name in ways:
        if name != peft_name:
            times[name] = [taken / CALLS for taken in times[name]]
    return {
        "milliseconds": {name: 1e3 * median(taken) for name, taken in times.items()},
        "times faster": {name: ratio(times, peft_name, name) for name in ways if name != peft_name},
    }


def weight_of_many() -> dict:
    """Bytes of a thousand adapters, counted by the bank and by the operating system."""
    model, _ = labkit.load_base(device="cpu")
    state, bank = random_adapter(model, SMALL, seed=0), AdapterBank(model)
    before = private_bytes()
    taken = seconds(lambda: [bank.add(f"{i}", state, SMALL) for i in range(MANY)])
    return {
        "adapters": MANY,
        "lora": SMALL.to_peft(model.base_name),
        "bytes by the bank": bank.nbytes,
        "bytes by the operating system": private_bytes() - before,
        "bytes of the base": sum(parameter.nbytes for parameter in model.parameters()),
        "milliseconds to add one": 1e3 * taken / MANY,
    }


def main() -> None:
    many = weight_of_many()
    store("swap", {"lora": CONFIG.to_peft("HuggingFaceTB/SmolLM2-135M-Instruct"), **choosing(), "many": many})


if __name__ == "__main__":
    main()
