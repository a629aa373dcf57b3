"""Every public name as a learner uses it. This is read by mypy and never run (see tests/test_package.py).

Each function first says it right. Its last lines are wrong on purpose: mypy must object to each, and complains about
any `type: ignore` that it does not need. So a name that has lost its signature shows.
"""

from pathlib import Path

import torch
from torch import Tensor, nn

import labkit
from labkit import LoraConfig, TrainConfig


def a_matrix_and_its_rank(matrix: Tensor) -> None:
    u, s, vh = labkit.truncated_svd(matrix, 8)
    near: Tensor = labkit.low_rank_approx(matrix, rank=8)
    share: float = labkit.energy(matrix, 8) + labkit.effective_rank(matrix) + labkit.stable_rank(matrix)
    rank: int = labkit.rank_for_energy(matrix, 0.9)
    overlap: float = labkit.subspace_overlap(u @ torch.diag(s) @ vh, near, rank)
    updates: dict[str, Tensor] = labkit.load_update()
    labkit.rank_slider(updates, rank=8)
    labkit.error_explorer({"normal": near}, block_size=64)
    labkit.claim("energy in 8 directions", share + overlap, above=0.9, unit="%")
    print(labkit.approx(share, "%"))
    labkit.truncated_svd(matrix, "8")  # type: ignore[arg-type]
    labkit.low_rank_approx(matrix)  # type: ignore[call-arg]
    print(labkit.energy(matrix, 8).shape)  # type: ignore[attr-defined]
    print(labkit.rank_for_energy(matrix, 0.9).shape)  # type: ignore[attr-defined]
    labkit.effective_rank(0.9)  # type: ignore[arg-type]
    labkit.stable_rank(matrix, 8)  # type: ignore[call-arg]
    labkit.subspace_overlap(matrix, 8, 8)  # type: ignore[arg-type]
    print(labkit.load_update("tickets")["q_proj"].rank)  # type: ignore[attr-defined]
    labkit.rank_slider(near)  # type: ignore[arg-type]
    labkit.error_explorer({"normal": near}, "NF4", "64")  # type: ignore[arg-type]
    labkit.claim("energy in 8 directions", share, above="0.9")  # type: ignore[arg-type]
    labkit.approx(share, 2)  # type: ignore[arg-type]


def an_adapter(folder: Path) -> None:
    model, tokenizer = labkit.load_base(device="cpu", dtype=torch.float32)
    config = LoraConfig(r=8, lora_alpha=16, target_modules="all-linear")
    labkit.inject_lora(labkit.quantize_model(model), config).save_pretrained("it is still transformers' model")
    labkit.mark_only_lora_as_trainable(model)
    trained, total = labkit.trainable_parameters(model)
    for name, layer in labkit.lora_layers(model):
        print(name, layer.lora_A.weight.shape, layer.delta_weight().norm(), trained / total)
    with labkit.disable_adapter(model):
        labkit.perplexity(model, tokenizer, windows=4)
    with labkit.merge_aware(model, block_size=64, double=True) as the_same:
        the_same.save_pretrained("it still is")
    labkit.save_adapter(model, folder, {"task": "tickets"})
    labkit.unmerge(labkit.merge(labkit.load_adapter(model, folder))).save_pretrained("and it still is")
    labkit.save_merged(labkit.merge_and_unload(model), tokenizer, folder)
    labkit.save_merged(labkit.merge_into_dense(model, dtype=torch.bfloat16), tokenizer, folder)
    layer = labkit.LoraLinear(nn.Linear(8, 8), r=2, lora_alpha=4)
    other = labkit.adapt(model, "vera", r=256)
    print(other.count, other.save(folder).name, other.merge().training)
    print(labkit.fetch_base().name, layer(torch.ones(1, 8)))
    print(labkit.export_gguf(folder, folder / "adapter.gguf", overwrite=True).name)
    print(labkit.push_adapter(folder, "user/name", public=True).upper())
    labkit.load_base(devise="cpu")  # type: ignore[call-arg]
    labkit.export_gguf(folder)  # type: ignore[call-arg]
    labkit.push_adapter(folder, None)  # type: ignore[arg-type]
    LoraConfig(r="8")  # type: ignore[arg-type]
    labkit.inject_lora(model, r=8)  # type: ignore[call-arg]
    labkit.adapt(model, 8)  # type: ignore[arg-type]
    labkit.mark_only_lora_as_trainable(config)  # type: ignore[arg-type]
    labkit.trainable_parameters(config)  # type: ignore[arg-type]
    labkit.lora_layers(config)  # type: ignore[arg-type]
    labkit.disable_adapter(config)  # type: ignore[type-var]
    labkit.merge_aware(config)  # type: ignore[type-var]
    labkit.save_adapter(folder, model)  # type: ignore[arg-type]
    labkit.load_adapter(config, folder)  # type: ignore[type-var]
    labkit.merge(config)  # type: ignore[type-var]
    labkit.unmerge(config)  # type: ignore[type-var]
    labkit.merge_and_unload(config)  # type: ignore[type-var]
    labkit.save_merged(model, folder)  # type: ignore[call-arg]
    labkit.merge_into_dense(model, "bfloat16")  # type: ignore[arg-type]
    labkit.LoraLinear(8, 8)  # type: ignore[arg-type]
    labkit.fetch_base(8)  # type: ignore[arg-type]
    print(labkit.lorra)  # type: ignore[attr-defined]


def many_adapters(model: nn.Module, tokenizer: object) -> None:
    bank = labkit.AdapterBank(model)
    bank.add("sql", "data/adapters/sql")
    bank.add("voice", Path("data/adapters/voice"))
    bank.activate("sql")
    bank.blend({"sql": 0.5, "voice": 0.5})
    with bank.rows(["sql", None, {"voice": 1.0}]):
        labkit.generate(model, tokenizer, ["one", "two", "three"], "Answer the user.")
    labkit.adapter_mixer(model, tokenizer, {"sql": {"prompt": "How many?"}}, weights={"sql": 0.5})
    labkit.AdapterBank("sql")  # type: ignore[arg-type]
    bank.blend("sql")  # type: ignore[arg-type]
    labkit.adapter_mixer(model, tokenizer, ["sql"])  # type: ignore[arg-type]


def four_bits(model: nn.Module) -> None:
    stored = labkit.quantize_nf4(torch.randn(64, 64), double=True)
    back: Tensor = labkit.dequantize_nf4(stored)
    print(stored.bits_per_weight, labkit.nf4_codebook().shape, labkit.NF4Linear(nn.Linear(64, 64))(back))
    labkit.quantize_model(model, double=True)
    labkit.quantize_nf4([0.5])  # type: ignore[arg-type]
    labkit.dequantize_nf4(back)  # type: ignore[arg-type]
    labkit.nf4_codebook(device=8)  # type: ignore[arg-type]
    labkit.NF4Linear(back)  # type: ignore[arg-type]
    labkit.quantize_model(model, "labkit", 64)  # type: ignore[call-arg]


def a_training() -> None:
    model, tokenizer = labkit.load_base(quantize="nf4")
    task = labkit.load_task("tickets")
    rows = labkit.read_rows("mine.jsonl")
    mine = labkit.Task("mine", "Answer.", lambda answer, row: {"exact": 1.0}, {"train": Path("mine.jsonl")})
    example = labkit.encode(tokenizer, task.rows("train")[0], task.system)
    print(labkit.render_masked(tokenizer, example), mine.max_new_tokens)
    config = TrainConfig(steps=60, learning_rate=2e-3)
    result = labkit.train(model, tokenizer, task, config, rows=rows, on_step=labkit.training_bar())
    longer = TrainConfig(epochs=3, validate_every=10, patience=2, score_rows=8)
    labkit.train(model, tokenizer, task, longer, validation="validation", log=["tensorboard"], log_dir="runs/logs")
    labkit.show(labkit.plot_history("runs/mine/adapter"), alt="The loss falls.")
    print(labkit.history(Path("runs/mine/adapter")).best, labkit.plot_history(result).get_title())
    labkit.train(model, tokenizer, mine, output_dir="runs/mine", on_step=lambda report: print(report.seconds_left))
    found = labkit.evaluate(model, tokenizer, task, limit=64)
    low, high = labkit.bootstrap_interval([scores["exact"] for scores in found.row_scores])
    print(result.losses[-1], found.scores["exact"].mean, high - low, labkit.perplexity(model, tokenizer, windows=4))
    for line in labkit.generate(model, tokenizer, ["Hello"], task.system, max_new_tokens=8):
        print(line.strip())
    labkit.generate(model, tokenizer, [[{"role": "user", "content": "Hello"}]], task.system)
    labkit.train(model, tokenizer, task, TrainConfig(turns="last"), rows=labkit.read_rows("mine.csv", "alpaca"))
    labkit.playground(model, tokenizer, "Which animal says moo?")
    labkit.load_task(8)  # type: ignore[arg-type]
    labkit.read_rows()  # type: ignore[call-arg]
    labkit.Task("mine", "Answer.", {}, {})  # type: ignore[arg-type]
    labkit.encode(tokenizer, "a row", task.system)  # type: ignore[arg-type]
    labkit.render_masked(tokenizer, "a row")  # type: ignore[arg-type]
    TrainConfig(learning_rate="2e-3")  # type: ignore[arg-type]
    labkit.train(tokenizer, model, task)  # type: ignore[arg-type]
    labkit.train(model, tokenizer, task, 60)  # type: ignore[arg-type]
    labkit.history(8)  # type: ignore[arg-type]
    labkit.plot_history(8)  # type: ignore[arg-type]
    labkit.training_bar(60)  # type: ignore[arg-type]
    labkit.evaluate(model, tokenizer, "tickets")  # type: ignore[arg-type]
    labkit.bootstrap_interval(0.5)  # type: ignore[arg-type]
    labkit.perplexity(model, tokenizer, windows="4")  # type: ignore[arg-type]
    labkit.generate(model, tokenizer, 8, task.system)  # type: ignore[arg-type]
    labkit.playground(model, tokenizer)  # type: ignore[call-arg]


def what_it_costs(model: nn.Module) -> None:
    cost = labkit.simulate("llama-3-8b", "qlora", r=16, sequence=1024, checkpointing=True)
    real = labkit.measure(model, batch_size=2, sequence=64)
    print(cost.peak - real.peak, cost.smallest_card())
    labkit.cost_explorer("llama-3-8b", price=2.0)
    advice = labkit.advise("llama-3-8b", "RTX 4090", "chat", rows=5000, use="merge")
    print(advice["learning rate"].value, advice.unknown, advice.how.upper(), advice.as_dict().keys())
    labkit.advice_explorer("llama-3-8b", rows=500)
    print(labkit.CompletionLoss(model, share_prefix=True))
    labkit.simulate("llama-3-8b", "qlora", 16)  # type: ignore[call-arg]
    labkit.measure("llama-3-8b")  # type: ignore[arg-type]
    labkit.cost_explorer(price="2")  # type: ignore[arg-type]
    labkit.advise(rows="5000")  # type: ignore[arg-type]
    labkit.advice_explorer(8)  # type: ignore[arg-type]
    labkit.CompletionLoss()  # type: ignore[call-arg]


def a_notebook() -> None:
    labkit.predict("Which is smaller?", ["LoRA", "full"], id="02.smaller")
    labkit.reveal("02.smaller", "LoRA")
    labkit.predict("How many?", {"under 1": (None, 1), "more": (1.0, None)}, id="02.many")
    labkit.reveal("02.many", 1.5)
    labkit.show_surprises()
    labkit.check("03.1", lambda x: x)
    print(labkit.yours("03.1", otherwise=abs)(-1))
    labkit.hint("03.1")
    labkit.solution("03.1")
    labkit.quiz("03", [labkit.Question("Which?", {"this": "why", "that": "why not"}, right="a")])
    labkit.progress()
    labkit.use_style()
    labkit.axes("The loss of each step", "step", "loss", yscale="log").plot([1.0, 0.5])
    labkit.show(labkit.axes("The loss of each step", "step", "loss"), alt="The loss falls.")
    print(len(labkit.surprises([])))
    labkit.yours("03.1")  # type: ignore[call-arg]
    labkit.show(labkit.axes("The loss", "step", "loss"))  # type: ignore[call-arg]
    labkit.predict("Which is smaller?", "LoRA")  # type: ignore[arg-type]
    labkit.reveal("LoRA")  # type: ignore[call-arg]
    labkit.show_surprises("02")  # type: ignore[call-arg]
    labkit.check(3.1)  # type: ignore[arg-type]
    labkit.hint(3.1)  # type: ignore[arg-type]
    labkit.solution(3.1)  # type: ignore[arg-type]
    labkit.quiz(3)  # type: ignore[arg-type]
    labkit.Question("Which?", ["this", "that"], "a")  # type: ignore[arg-type]
    labkit.progress("03")  # type: ignore[call-arg]
    labkit.use_style("dark")  # type: ignore[call-arg]
    labkit.axes("The loss", "step")  # type: ignore[call-arg]
    labkit.surprises(["02.smaller"])  # type: ignore[list-item]


def errors() -> None:
    for error in (labkit.AdapterError, labkit.BaseModelError, labkit.ClaimFailed, labkit.ConfigError):
        kind: type[labkit.LabkitError] = error
        print(kind)
    caution: type[Warning] = labkit.LabkitWarning
    print(caution)
    try:
        raise labkit.TrainingError("the loss is nan")
    except labkit.LabkitError as caught:
        print(caught)
    print(labkit.DataError("a broken line", "Mend it", "mine.jsonl:3").remedy)
    labkit.DataError("a broken line")  # type: ignore[call-arg]
