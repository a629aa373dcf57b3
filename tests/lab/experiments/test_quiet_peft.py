"""PEFT as the notebooks import it: its own module, with two messages silenced."""

import logging
import warnings


def test_it_is_peft_and_its_two_messages_are_silent():
    with warnings.catch_warnings():
        from labkit.lab.experiments.quiet_peft import peft

        assert peft.LoraConfig.__module__.startswith("peft.")
        assert logging.getLogger("bitsandbytes.backends.cpu.ops").level == logging.ERROR
