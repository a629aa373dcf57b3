"""What the course asks: its notebooks, and for each of them a folder with its exercises and its quiz.

Content only. How it is asked, checked and shown is :mod:`labkit.lab`.
"""

from labkit.lab.progress_map import Notebook

COURSE = (
    Notebook("00", "Start here", 25, core=True),
    Notebook("01", "Low rank and the SVD", 45, core=True),
    Notebook("02", "The cost of full fine-tuning", 40, core=True),
    Notebook("03", "The LoRA layer", 55, core=True),
    Notebook("04", "Train a LoRA", 45, core=True),
    Notebook("05", "Rank, α and targets", None),
    Notebook("06", "Data and evaluation", None),
    Notebook("07", "Quantization and NF4", 75, core=True),
    Notebook("08", "QLoRA", 60, core=True),
    Notebook("09", "Merge", 60, core=True),
    Notebook("10", "Swap adapters", 60, core=True),
    Notebook("11", "PEFT and more machines", 50),
)
