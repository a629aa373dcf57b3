"""llama.cpp, from the package xllamacpp, in a process of its own: what it crashes on doesn't end the one that asks.

That process imports neither PyTorch nor labkit: what answers there is llama.cpp, a program in C++.
"""

import json
import subprocess
import sys
from pathlib import Path


def ask(base: Path, adapter: Path | None, prompts: list, seconds: float = 120, **how) -> list[dict]:
    """What llama.cpp answers to each prompt, greedily.

    Args:
        base: a GGUF file.
        adapter: one to put onto it.
        prompts: texts, or lists of token ids.
        seconds: how long it may take.
        how: ``n_predict`` for the longest answer in tokens; ``n_probs`` for the log-probabilities of so many tokens at
            each place; ``exact`` for a cache of keys and values in float32.

    Returns:
        For each, ``text``, ``tokens`` of the answer, ``prompt_tokens`` (of a text), and ``log_probs`` by place.

    Raises:
        RuntimeError: it ended before it had answered; the message has the end of what it said.
    """
    task = {"base": str(base), "adapter": adapter and str(adapter), "prompts": prompts, **how}
    run = subprocess.run(
        [sys.executable, __file__], input=json.dumps(task), capture_output=True, text=True, timeout=seconds
    )
    if run.returncode:
        raise RuntimeError(f"llama.cpp ended with {run.returncode}: {run.stderr[-2000:]}")
    return json.loads(run.stdout.splitlines()[-1])


def _answer(task: dict) -> list[dict]:
    from urllib.request import Request, urlopen

    import xllamacpp

    params = xllamacpp.CommonParams()
    params.model.path = task["base"]
    params.n_ctx, params.n_gpu_layers, params.verbosity, params.warmup = task.get("n_ctx", 1024), 0, -1, False
    params.cpuparams.n_threads, params.cache_ram_mib = 2, 0
    if task.get("exact"):
        params.cache_type_k = params.cache_type_v = xllamacpp.ggml_type.GGML_TYPE_F32
        params.flash_attn_type = xllamacpp.llama_flash_attn_type.LLAMA_FLASH_ATTN_TYPE_DISABLED
    if task["adapter"]:
        params.lora_adapters = [xllamacpp.CommonAdapterLoraInfo(task["adapter"], 1.0)]
    server = xllamacpp.Server(params)

    def post(path: str, body: dict) -> dict:
        headers = {"Content-Type": "application/json"}
        with urlopen(Request(server.listening_address + path, json.dumps(body).encode(), headers)) as reply:
            return json.load(reply)

    answers = []
    for prompt in task["prompts"]:
        found = post(
            "/completion",
            {
                "prompt": prompt,
                "temperature": 0,
                "return_tokens": True,
                "n_predict": task.get("n_predict", 128),
                "n_probs": task.get("n_probs", 0),
            },
        )
        answer = {"text": found["content"], "tokens": found["tokens"]}
        if isinstance(prompt, str):
            answer["prompt_tokens"] = post("/tokenize", {"content": prompt, "parse_special": True})["tokens"]
        if task.get("n_probs"):
            answer["log_probs"] = [
                {each["id"]: each["logprob"] for each in place["top_logprobs"]}
                for place in found["completion_probabilities"]
            ]
        answers.append(answer)
    return answers


if __name__ == "__main__":
    print("\n" + json.dumps(_answer(json.loads(sys.stdin.read()))), flush=True)
