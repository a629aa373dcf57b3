"""Can a message find its adapter? Ways to choose among the four shipped adapters. Stored for notebook 10.

    python -m studies.adapter_routing        # four minutes on two cores

64 test messages of each task are given without their system prompt, which would say it all. Some ways look at the
adapters alone, others at a few training messages of each task, or at what each adapter makes of the message.
"""

from functools import lru_cache

import torch

import labkit
from labkit.evaluation.scoring import bootstrap_interval
from labkit.lab.experiments import routing
from labkit.storage.paths import course_data_dir
from studies.make_adapters import TASKS, digest
from studies.runner import Study, main

ADAPTERS = course_data_dir() / "adapters"
ROWS, EXAMPLES, BLOCK = 64, (1, 2, 4, 8), 15  # messages; training messages of each task; whose inputs are compared
DTYPE = "bfloat16"  # of the base
RECIPE = {
    "rows": ROWS,
    "examples": list(EXAMPLES),
    "block": BLOCK,
    "dtype": DTYPE,
    "system": routing.NEUTRAL,
    "layers": list(routing.LAYERS),
    "weights": {name: digest(ADAPTERS / name / "adapter_model.safetensors") for name in TASKS},
}


@lru_cache(maxsize=1)
def setting_up() -> dict:
    """The model with a bank, each adapter's directions, what inputs are usual, and the examples of each task."""
    model, tokenizer = labkit.load_base(device="cpu", dtype=getattr(torch, DTYPE))
    bank, adapters = labkit.AdapterBank(model), {}
    blocks = model.config.num_hidden_layers
    for name in TASKS:
        alone = labkit.load_adapter(labkit.load_base(device="cpu")[0], ADAPTERS / name)
        updates = {
            layer: (module.scaling * module.lora_A.weight, module.lora_B.weight)
            for layer, module in labkit.lora_layers(alone)
        }
        with torch.no_grad():
            adapters[name] = routing.all_directions(updates, blocks)
        bank.add(name, ADAPTERS / name)
    usual = routing.usual_inputs(model, tokenizer)
    texts = {name: labkit.load_task(name).rows("train")["prompt"][: max(EXAMPLES)] for name in TASKS}
    states = {
        name: torch.stack([each[BLOCK].mean(0) for each in routing.message_inputs(model, tokenizer, list(few))])
        for name, few in texts.items()
    }
    words = sorted({word for few in texts.values() for text in few for word in routing.words_of(text)})
    draw = torch.Generator().manual_seed(0)
    at_random = [torch.randn(each[:, :, :1].shape, generator=draw) for each in adapters.values()]
    return {
        "model": model, "tokenizer": tokenizer, "bank": bank, "adapters": adapters, "usual": usual, "texts": texts,
        "states": states, "vocabulary": {word: place for place, word in enumerate(words)}, "random": at_random,
    }  # fmt: skip


def by_the_adapters(inputs: torch.Tensor, know: dict) -> dict[str, str]:
    """The choice of each way that looks at A and B alone."""
    names, adapters = list(know["adapters"]), list(know["adapters"].values())
    usual = know["usual"][:, None]
    numbers = {
        "random directions": routing.votes(inputs, know["random"]),
        "strongest direction": routing.votes(inputs, adapters),
        "strongest direction, mean taken off": routing.votes(inputs - usual, adapters),
        "all directions": routing.reactions(inputs, adapters),
        "all directions, mean taken off": routing.reactions(inputs - usual, adapters),
        "all directions, against the usual": routing.reactions(inputs, adapters) / routing.reactions(usual, adapters),
    }
    return {way: names[each.argmax()] for way, each in numbers.items()}


def by_examples(message: str, inputs: torch.Tensor, know: dict) -> dict[str, str]:
    """The choice of each way that has seen training messages."""
    names, state, chosen = list(know["texts"]), inputs[BLOCK].mean(0), {}
    for count in EXAMPLES:
        few = {name: states[:count] for name, states in know["states"].items()}
        chosen[f"nearest of {count}"] = names[routing.closeness(state, few).argmax()]
        counted = {
            name: routing.word_counts(texts[:count], know["vocabulary"]) for name, texts in know["texts"].items()
        }
        [words] = routing.word_counts([message], know["vocabulary"])
        chosen[f"words of {count}"] = names[routing.closeness(words, counted).argmax()]
    return chosen


def by_asking(messages: list[str], know: dict) -> dict[str, list[str]]:
    """The choices of each way that lets every adapter read the messages, under its own system prompt."""
    names, opinions = list(know["adapters"]), []
    for name in names:
        know["bank"].activate(name)
        system = labkit.load_task(name).system
        opinions.append(list(routing.own_opinions(know["model"], know["tokenizer"], messages, system)))
    know["bank"].deactivate()
    losses, unsure = torch.tensor(opinions).unbind(-1)  # each: adapters × messages
    ways = {"lowest loss on the message": losses, "surest first token": unsure}
    return {way: [names[place] for place in each.argmin(0)] for way, each in ways.items()}


def run(setting: dict) -> dict:
    """What each way chooses for the messages of one task, and how its tokens vote."""
    know = setting_up()
    messages = list(labkit.load_task(setting["task"]).rows("test")["prompt"][:ROWS])
    chosen: dict[str, list[str]] = {}
    adapters, shares = list(know["adapters"].values()), 0
    for message, inputs in zip(messages, routing.message_inputs(know["model"], know["tokenizer"], messages)):
        shares = shares + routing.votes(inputs, adapters) / ROWS
        for way, name in (by_the_adapters(inputs, know) | by_examples(message, inputs, know)).items():
            chosen.setdefault(way, []).append(name)
    return {"chosen": chosen | by_asking(messages, know), "votes": dict(zip(TASKS, shares.tolist()))}


def tidy(runs: list[dict]) -> dict:
    """For each way the share of messages that came to their adapter, with its interval, and where the others went."""
    ways = {}
    for way in runs[0]["chosen"]:
        right = [float(name == each["task"]) for each in runs for name in each["chosen"][way]]
        low, high = bootstrap_interval(right)
        went = {each["task"]: {name: each["chosen"][way].count(name) for name in TASKS} for each in runs}
        ways[way] = {"mean": sum(right) / len(right), "low": low, "high": high, "went to": went}
    return {"ways": ways, "votes": {each["task"]: each["votes"] for each in runs}}


STUDY = Study("adapter_routing", RECIPE, [{"task": name} for name in TASKS], run, tidy=tidy)

if __name__ == "__main__":
    main(STUDY, __doc__)
