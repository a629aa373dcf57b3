"""Pushing an adapter: what goes to the hub, what doesn't, and what is said where nothing can go.

The hub itself isn't there in a test. A server of a few lines stands in for it: the client is Hugging Face's own.
"""

import base64
import json
import shutil
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread

import huggingface_hub
import pytest
import torch
import yaml
from safetensors.torch import load_file, save_file

import labkit
from labkit.cli import main
from labkit.errors import AdapterError, ConfigError, LabkitError
from labkit.export.hub import upload_of

TICKETS = Path(labkit.__file__).parents[1] / "data" / "adapters" / "tickets"
TOKEN = "hf_" + "x" * 34


@pytest.fixture
def adapter(tmp_path):
    """The shipped adapter, without the card that was written for it."""
    return shutil.copytree(TICKETS, tmp_path / "adapter", ignore=shutil.ignore_patterns("README.md"))


def change(adapter: Path, file: str, **fields) -> None:
    about = json.loads((adapter / "labkit.json").read_text()) | {"sha256": {}}
    (adapter / "labkit.json").write_text(json.dumps(about))
    (adapter / file).write_text(json.dumps(json.loads((adapter / file).read_text()) | fields))


class Hub(BaseHTTPRequestHandler):
    """Answers what a push asks for, and keeps it."""

    def do_POST(self):
        body = self.rfile.read(int(self.headers["Content-Length"]))
        self.server.asked.append((self.path, self.headers["Authorization"], body))
        answers = {
            "create": {"url": f"http://127.0.0.1:{self.server.server_port}/me/tickets"},
            "validate-yaml": {"errors": [], "warnings": []},
            "main": {"commitUrl": "https://huggingface.co/me/tickets/commit/1", "commitOid": "1", "success": True},
        }
        answer = answers[self.path.rpartition("/")[2]]
        if "preupload" in self.path:
            asked = json.loads(body)["files"]
            answer = {"files": [{"path": f["path"], "uploadMode": "regular", "shouldIgnore": False} for f in asked]}
        self._reply(answer)

    def do_GET(self):
        self._reply({"id": "me/tickets", "modelId": "me/tickets", "private": self.server.private, "tags": []})

    def _reply(self, answer):
        self.send_response(200)
        self.send_header("Content-Type", "application/json")
        self.end_headers()
        self.wfile.write(json.dumps(answer).encode())

    def log_message(self, *_):
        pass


@pytest.fixture
def hub(monkeypatch):
    server = ThreadingHTTPServer(("127.0.0.1", 0), Hub)
    server.asked, server.private = [], True
    Thread(target=server.serve_forever, daemon=True).start()
    monkeypatch.setattr(huggingface_hub.constants, "ENDPOINT", f"http://127.0.0.1:{server.server_port}")
    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_OFFLINE", False)
    monkeypatch.setenv("HF_TOKEN", TOKEN)
    yield server
    server.shutdown()


def sent(hub) -> dict[str, bytes]:
    [commit] = [body for path, _, body in hub.asked if "/commit/" in path]
    lines = [json.loads(line) for line in commit.splitlines()]
    files = [line["value"] for line in lines if line["key"] == "file"]
    return {file["path"]: base64.b64decode(file["content"]) for file in files}


def test_a_push_sends_the_files_and_no_token(adapter, hub, capsys):
    (adapter / "optimizer.pt").write_text("not for others")
    assert main(["push", str(adapter), "me/tickets"]) == 0
    assert "/me/tickets" in capsys.readouterr().out
    files = sent(hub)
    for name in ("adapter_config.json", "adapter_model.safetensors", "labkit.json"):
        assert files.pop(name) == (adapter / name).read_bytes()
    assert files.keys() == {"README.md"}
    [created] = [json.loads(body) for path, _, body in hub.asked if path.endswith("/create")]
    assert created.get("visibility") == "private" or created.get("private") is True
    assert all(token == f"Bearer {TOKEN}" and TOKEN.encode() not in body for _, token, body in hub.asked)


def test_the_history_of_a_training_goes_along_where_there_is_one(adapter):
    entry = {"step": 1, "loss": 2.0, "learning_rate": 1e-3, "tokens": 9, "seconds": 1.5}
    file = adapter / "history.json"
    file.write_text(json.dumps({"stopped_early": False, "entries": [entry]}))
    assert upload_of(adapter, "me/tickets").files["history.json"] == file
    file.write_text('{"secret": 1}')
    with pytest.raises(AdapterError, match="history.json: 'entries' must be a list"):
        upload_of(adapter, "me/tickets")


def test_nothing_goes_to_a_public_repository_unless_meant(adapter, hub):
    hub.private = False
    with pytest.raises(ConfigError, match=r"me/tickets is public .* public=True"):
        labkit.push_adapter(adapter, "me/tickets")
    assert not [path for path, _, _ in hub.asked if "commit" in path]
    assert labkit.push_adapter(adapter, "me/tickets", public=True).endswith("/me/tickets")
    assert len(sent(hub)) == 4


def test_a_dry_run_sends_nothing_and_shows_it(adapter, hub, capsys):
    assert main(["push", str(adapter), "me/tickets", "--dry-run"]) == 0
    said = capsys.readouterr().out
    assert hub.asked == []
    for name in ("adapter_config.json", "adapter_model.safetensors", "labkit.json"):
        assert f"{name:<28} {(adapter / name).stat().st_size:>12,} bytes" in said
    assert "private" in said and "| exact | 100.0 % [98.6, 100.0] | 0.0 % [0.0, 1.4] |" in said


def test_the_card_says_recipe_and_scores(adapter):
    card = upload_of(adapter, "me/tickets").files["README.md"].decode()
    _, facts, text = card.split("---\n", 2)
    assert yaml.safe_load(facts)["base_model"] == "HuggingFaceTB/SmolLM2-135M-Instruct"
    about = json.loads((adapter / "labkit.json").read_text())
    assert about["system"] in text and "on 256 test rows" in text
    for said in ("r 3", r"lora\_alpha 6", "steps 60", r"learning\_rate 0.003", "seed 0"):
        assert said in text


def test_the_card_says_how_the_base_was_held_and_what_was_learned_where_that_is_known(adapter):
    plain = upload_of(adapter, "me/x").files["README.md"].decode()
    base = {"quantization": "nf4 by labkit, blocks of 64, double"}
    change(adapter, "labkit.json", base=base, conversations=True)
    card = upload_of(adapter, "me/x").files["README.md"].decode()
    said = [
        r"The base was in four bits \(nf4 by labkit, blocks of 64, double\): load it so.",
        "It learned conversations: give it what was said before.",
    ]
    assert all(line in card and line not in plain for line in said)


def test_a_card_of_your_own_stays(adapter):
    (adapter / "README.md").write_text("# Mine\n")
    assert upload_of(adapter, "me/x").files["README.md"].decode().endswith("---\n\n# Mine\n")
    (adapter / "README.md").write_text("---\nlicense: mit\n---\n# Mine\n")
    assert upload_of(adapter, "me/x").files["README.md"] == b"---\nlicense: mit\n---\n# Mine\n"


def test_what_a_stranger_wrote_is_no_markup(adapter):
    change(adapter, "labkit.json", task="[click](http://x)", scores={"<b>": {"mean": "1", "low": 0}}, recipe={"a|b": 1})
    card = upload_of(adapter, "me/x").files["README.md"].decode()
    assert r"\[click\]\(http://x\)" in card and r"| \<b\> | – | – |" in card and r"- a\|b: 1" in card


@pytest.mark.parametrize(
    "file, fields, match",
    [
        ("adapter_config.json", {"base_model_name_or_path": "/home/ada/base"}, "/home/ada/base, and others can't load"),
        ("adapter_config.json", {"use_dora": True}, "use_dora=True goes beyond plain LoRA"),
        ("labkit.json", {"system": f"Use {TOKEN}"}, "looks like a token"),
        ("labkit.json", {"scores": [1]}, "'scores' must be a JSON object, found list"),
        ("labkit.json", {"sha256": {"adapter_config.json": "0"}}, "damaged, or changed"),
    ],
)
def test_what_should_not_leave(file, fields, match, adapter):
    change(adapter, file, **fields)
    with pytest.raises(AdapterError, match=match):
        upload_of(adapter, "me/x")


def test_numbers_that_are_none_do_not_leave(adapter):
    change(adapter, "labkit.json")
    state = load_file(adapter / "adapter_model.safetensors")
    state[next(iter(state))][0, 0] = torch.nan
    save_file(state, adapter / "adapter_model.safetensors")
    with pytest.raises(AdapterError, match="holds NaN or infinite"):
        upload_of(adapter, "me/x")


@pytest.mark.parametrize("repo", ["tickets", "me/my tickets", "me/tickets/v1", "/me"])
def test_a_name_that_is_none(repo):
    with pytest.raises(ConfigError, match="user/name"):
        upload_of(TICKETS, repo)


def test_without_a_token(hub, monkeypatch):
    monkeypatch.delenv("HF_TOKEN")
    monkeypatch.setattr(huggingface_hub.constants, "HF_TOKEN_PATH", "/nowhere")
    with pytest.raises(LabkitError, match="no Hugging Face token here. Log in once with: hf auth login"):
        labkit.push_adapter(TICKETS, "me/tickets")
    assert hub.asked == []


def test_without_a_hub(hub, monkeypatch):
    monkeypatch.setattr(huggingface_hub.constants, "ENDPOINT", "http://127.0.0.1:9")
    with pytest.raises(LabkitError, match=r"the hub can't be reached, or refuses \(.*\)\. Check"):
        labkit.push_adapter(TICKETS, "me/tickets")
