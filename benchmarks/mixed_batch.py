"""One token for 16 rows, each by another of 16 adapters: AdapterBank against PEFT.

    python benchmarks/mixed_batch.py            # two minutes on two cores

On the course's base, float32, random adapters of rank 8 on all linear layers, no cache. PEFT does it with
`adapter_names`, or row by row with `set_adapter`. The bank does it with its rows open already, as within `generate`,
where every token after the first finds them so; with opening them for this one token; and row by row with `activate`.
All must give the same logits.
"""

from statistics import median

import torch
from side_by_side import in_turn, peft_with, random_adapter, ratio, store, where_the_time_goes

import labkit
from labkit import AdapterBank, LoraConfig

ROWS = ADAPTERS = 16
ROUNDS = 25
CONFIG = LoraConfig(r=8, lora_alpha=16, target_modules="all-linear")
OURS = ("bank, rows open", "bank, opening rows", "bank, activate in a loop")
PEERS = ("PEFT, adapter_names", "PEFT, set_adapter in a loop")


@torch.no_grad()
def main() -> None:
    model, _ = labkit.load_base(device="cpu")
    base, _ = labkit.load_base(device="cpu")
    states = {f"{i}": random_adapter(model, CONFIG, seed=i) for i in range(ADAPTERS)}
    bank = AdapterBank(model)
    for name, state in states.items():
        bank.add(name, state, CONFIG)
    theirs = peft_with(base, CONFIG, states)
    names, tokens = bank.names, torch.randint(3, 40_000, (ROWS, 1), generator=torch.Generator().manual_seed(1))

    def answer(of, rows=tokens, **more):
        return of(rows, use_cache=False, **more).logits

    def row_by_row(choose, of):
        answers = []
        for row, name in zip(tokens, names):
            choose(name)
            answers.append(answer(of, row[None]))
        return torch.cat(answers)

    def opening():
        with bank.rows(names):
            return answer(model)

    def looped():
        answers = row_by_row(bank.activate, model)
        bank.deactivate()
        return answers

    ways = {
        "bank, rows open": lambda: answer(model),
        "bank, opening rows": opening,
        "bank, activate in a loop": looped,
        "PEFT, adapter_names": lambda: answer(theirs, adapter_names=names),
        "PEFT, set_adapter in a loop": lambda: row_by_row(theirs.set_adapter, theirs),
        "base alone": lambda: answer(model),
    }
    wanted = opening()
    apart = {name: (ways[name]() - wanted).abs().max().item() for name in (OURS[2], *PEERS)}
    assert max(apart.values()) < 1e-3, apart
    times = in_turn(ways, ROUNDS, within={"bank, rows open": lambda: bank.rows(names)})
    operators = {"base alone": where_the_time_goes(ways["base alone"])}
    with bank.rows(names):
        operators["bank, rows open"] = where_the_time_goes(ways["bank, rows open"])
    store(
        "mixed_batch",
        {
            "rows": ROWS,
            "adapters": ADAPTERS,
            "rounds": ROUNDS,
            "lora": CONFIG.to_peft(model.labkit.base_name),
            "milliseconds": {name: 1e3 * median(taken) for name, taken in times.items()},
            "times faster": {f"{fast} : {slow}": ratio(times, slow, fast) for fast in OURS for slow in PEERS},
            "seconds relative to the base alone": {name: ratio(times, name, "base alone") for name in ways},
            "bytes of the rows' adapters": bank.nbytes,
            "largest change the adapters make to a logit": (wanted - answer(model)).abs().max().item(),
            "largest difference of a logit": apart,
            "milliseconds by operator": operators,
            "seconds": times,
        },
    )


if __name__ == "__main__":
    main()
