"""The tickets adapter in llama.cpp, with B's rows in its order and as PEFT has them. Stored for notebook 11.

python -m studies.gguf_rows        # about five minutes on two cores
"""

from pathlib import Path
from tempfile import TemporaryDirectory

import labkit
from labkit.base.chat_format import prompt_text
from labkit.export.gguf import neighbors
from labkit.lab.experiments.base_gguf import base_as_gguf, export_with
from labkit.lab.experiments.llama_cpp import ask
from labkit.storage.paths import course_data_dir
from studies.runner import Study, main

ORDERS = {"as llama.cpp has them": neighbors, "as PEFT has them": lambda B, heads: B}
ADAPTER, ROWS = "tickets", 64


def run(name: str, limit: int = ROWS) -> dict:
    """How many of the first `limit` test rows come out right, and the tickets that don't."""
    task = labkit.load_task(ADAPTER)
    rows = list(task.rows("test"))[:limit]
    base, tokenizer = labkit.load_base(device="cpu")
    with TemporaryDirectory() as folder:
        base_file = base_as_gguf(base, tokenizer, Path(folder) / "base.gguf")
        file = export_with(ORDERS[name], course_data_dir() / "adapters" / ADAPTER, Path(folder) / "adapter.gguf")
        prompts = [prompt_text(tokenizer, row["prompt"], task.system) for row in rows]
        answers = [answer["text"] for answer in ask(base_file, file, prompts, seconds=900)]
    wrong = [
        {"prompt": row["prompt"], "expected": row["completion"], "answer": answer}
        for row, answer in zip(rows, answers)
        if not task.score(answer, row)["exact"]
    ]
    return {"right": len(rows) - len(wrong), "wrong": wrong}


STUDY = Study(
    "gguf_rows",
    {"adapter": ADAPTER, "rows": ROWS},
    [{"name": name} for name in ORDERS],
    lambda setting: run(setting["name"]),
)

if __name__ == "__main__":
    main(STUDY, __doc__)
