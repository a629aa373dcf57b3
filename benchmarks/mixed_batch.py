"""One batch, a different adapter for each row: AdapterBank against PEFT. And does it slow down as the bank grows?

    python benchmarks/mixed_batch.py            # three minutes on two cores

Two measurements on the course's base, float32, random adapters on all linear layers:

- one token: 16 rows of one token each (no cache), each row by another of 16 adapters. PEFT does it with
  `adapter_names`, or row by row with `set_adapter`. The bank does it with its rows open already, as within `generate`,
  where all tokens after the first find them so; and opening them for this one token.
- growth: 16 rows answered with `generate` from banks of 1 to 256 adapters, each row drawing its adapter anew every
  time; the rows are opened within the time taken.
"""

import random
from statistics import median

import torch
from side_by_side import in_turn, peft_with, random_adapter, ratio, store

import labkit
from labkit import AdapterBank, LoraConfig

ROWS, ADAPTERS, ROUNDS = 16, 16, 15
CONFIG = LoraConfig(r=8, lora_alpha=16, target_modules="all-linear")
COUNTS, PROMPT_TOKENS, NEW_TOKENS, GROWTH_ROUNDS = (1, 4, 16, 64, 256), 8, 12, 7


@torch.no_grad()
def one_token(model, bank: AdapterBank) -> dict:
    """Seconds for the same 16 answers, each way; that they are the same is checked."""
    names = bank.names
    tokens = torch.randint(3, 40_000, (ROWS, 1), generator=torch.Generator().manual_seed(1))
    base, _ = labkit.load_base(device="cpu")
    theirs = peft_with(base, CONFIG, {name: random_adapter(base, CONFIG, i) for i, name in enumerate(names)})

    def answer(of, tokens, **more):
        return of(tokens, use_cache=False, **more).logits

    def row_by_row(choose, of):
        answers = []
        for i, name in enumerate(names):
            choose(name)
            answers.append(answer(of, tokens[i : i + 1]))
        return torch.cat(answers)

    def opening():
        with bank.rows(names):
            return answer(model, tokens)

    def looped():
        answers = row_by_row(bank.activate, model)
        bank.deactivate()
        return answers

    ways = {
        "bank, rows open": lambda: answer(model, tokens),
        "bank, opening rows": opening,
        "PEFT, adapter_names": lambda: answer(theirs, tokens, adapter_names=names),
        "PEFT, set_adapter in a loop": lambda: row_by_row(theirs.set_adapter, theirs),
        "bank, activate in a loop": looped,
        "base alone": lambda: answer(model, tokens),
    }
    wanted = opening()
    same = ("PEFT, adapter_names", "PEFT, set_adapter in a loop", "bank, activate in a loop")
    apart = {name: (ways[name]() - wanted).abs().max().item() for name in same}
    times = in_turn(ways, ROUNDS, within={"bank, rows open": lambda: bank.rows(names)})
    return {
        "milliseconds": {name: 1e3 * median(taken) for name, taken in times.items()},
        "times faster": {
            f"{fast} : {slow}": ratio(times, slow, fast)
            for fast in ("bank, rows open", "bank, opening rows")
            for slow in ("PEFT, adapter_names", "PEFT, set_adapter in a loop")
        },
        "largest change the adapters make to a logit": (wanted - ways["base alone"]()).abs().max().item(),
        "largest difference of a logit": apart,
    }


@torch.no_grad()
def growth(model) -> dict:
    """Tokens a second of the same work, from banks of different sizes."""
    tokens = torch.randint(3, 40_000, (ROWS, PROMPT_TOKENS), generator=torch.Generator().manual_seed(2))
    draw, every = random.Random(0), [random_adapter(model, CONFIG, seed) for seed in range(ADAPTERS)]
    bank = AdapterBank(model)
    for i in range(max(COUNTS)):
        bank.add(f"{i}", every[i % ADAPTERS], CONFIG)  # the bank makes its own copy of each

    def work(count: int):
        with bank.rows(draw.choices(bank.names[:count], k=ROWS)):
            out = model.generate(
                tokens,
                attention_mask=torch.ones_like(tokens),
                do_sample=False,
                min_new_tokens=NEW_TOKENS,
                max_new_tokens=NEW_TOKENS,
                pad_token_id=2,
            )
        assert out.shape == (ROWS, PROMPT_TOKENS + NEW_TOKENS)

    times = in_turn({str(count): lambda count=count: work(count) for count in COUNTS}, GROWTH_ROUNDS)
    bank.close()
    return {
        "new tokens a row": NEW_TOKENS,
        "tokens a second by adapters": {n: ROWS * NEW_TOKENS / median(taken) for n, taken in times.items()},
        "seconds relative to one adapter": {n: ratio(times, n, "1") for n in times},
    }


def main() -> None:
    model, _ = labkit.load_base(device="cpu")
    bank = AdapterBank(model)
    for i in range(ADAPTERS):
        bank.add(f"{i}", random_adapter(model, CONFIG, seed=i), CONFIG)
    once = one_token(model, bank)
    bank.close()
    store(
        "mixed_batch",
        {
            "rows": ROWS,
            "adapters": ADAPTERS,
            "lora": CONFIG.to_peft(model.base_name),
            "one token": once,
            "growth": growth(model),
        },
    )


if __name__ == "__main__":
    main()
