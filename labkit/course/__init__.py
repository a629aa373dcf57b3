"""What the course asks: its notebooks, and for each of them a folder with its exercises and its quiz.

Content only. How it is asked, checked and shown is :mod:`labkit.lab`. Titles, minutes and the line that says what a
notebook shows have their one place here; README and each notebook's heading are tested against it.
"""

from labkit.lab.progress_map import Notebook

COURSE = (
    Notebook("00", "Start here", 20, "a ticket the model gets wrong, a minute of training, the ticket right", True, 20),
    Notebook("01", "Low rank and the SVD", 50, "what a weight is made of, and what training changes in it", True, 35),
    Notebook("02", "The cost of full fine-tuning", 45, "where the memory goes when you train everything", True, 20),
    Notebook(
        "03",
        "The LoRA layer, by hand",
        45,
        "you write the layer, put it into a model, and check it against PEFT",
        core=True,
        evening=70,
    ),
    Notebook(
        "04", "Train a LoRA", 45, "your layer in your loop: what it learns, and what that costs", core=True, evening=50
    ),
    Notebook("05", "Rank, α and targets", 70, "what each setting does, and which of them hardly matter"),
    Notebook("06", "Data and evaluation", None, "how many examples you need, and how sure you can be"),
    Notebook(
        "07",
        "Quantization and NF4, by hand",
        70,
        "a weight in 4 bits, compared bit for bit with bitsandbytes",
        core=True,
    ),
    Notebook("08", "QLoRA", 60, "LoRA on a 4-bit base", core=True),
    Notebook("09", "Merge", 65, "one model again, and what that costs in full, half and 4-bit precision", core=True),
    Notebook("10", "Swap adapters", 65, "four tasks on one base: switched, mixed in a batch, blended", core=True),
    Notebook("11", "The ecosystem", 60, "the same with the usual libraries, in llama.cpp, and on many GPUs"),
    Notebook("12", "The family", 55, "fourteen methods by hand, and a court with a learning rate for each"),
    Notebook("16", "What an adapter gives away", 50, "what a stranger gets out of the file, and what helps"),
)
