"""The other ways to fine-tune a part of a model, each by hand beside its paper, and full fine-tuning among them.

from labkit.family.registry import METHODS
trained = METHODS["vera"](r=256).apply(model)      # or labkit.adapt(model, "vera", r=256)
labkit.train(model, tokenizer, task)
trained.save("adapters/mine")
"""
