import io
import re
import signal
import subprocess
import sys

import pytest
import torch
from conftest import make_tiny_llama, make_tiny_tokenizer
from kinds_of_base import make

from labkit import (
    AdapterBank,
    ConfigError,
    LoraConfig,
    generate,
    inject_lora,
    load_adapter,
    load_base,
    load_task,
    lora_layers,
    save_adapter,
)
from labkit.cli import chat as chat_module
from labkit.cli import main
from labkit.cli.chat import SYSTEM, Chat, shipped_adapters
from labkit.model_facts import note

pytestmark = pytest.mark.usefixtures("one_thread")

LIMIT, QUESTION = 12, "What is your name?"
TOLD = {"sql": "To SQL", "voice": "As a keeper"}
CONFIGS = {"sql": LoraConfig(target_modules="all-linear"), "voice": LoraConfig(r=3, target_modules=["q_proj"])}
SHAPE = {"vocab_size": 128, "max_position_embeddings": 512, "initializer_range": 0.5, "tie_word_embeddings": False}


def make_model():
    return make_tiny_llama(**SHAPE)


@pytest.fixture(scope="module")
def course(tmp_path_factory):
    """A data folder with two adapters that change the answer, and a base in a folder for the command line."""
    data = tmp_path_factory.mktemp("data")
    for name, config in CONFIGS.items():
        model = inject_lora(make_model(), config)
        for _, layer in lora_layers(model):
            torch.nn.init.normal_(layer.lora_B.weight, std=0.5)
        save_adapter(model, data / "adapters" / name, {"system": TOLD[name]})
    make_tiny_llama(**SHAPE | {"max_position_embeddings": 16_000}).save_pretrained(data / "base")
    make_tiny_tokenizer().save_pretrained(data / "base")
    return data


@pytest.fixture
def chat(course, monkeypatch, tiny_tokenizer):
    monkeypatch.setattr(chat_module, "course_data_dir", lambda: course)
    return Chat(make_model(), tiny_tokenizer, "Be kind", LIMIT)


def heard(chat, capsys, *lines: str) -> list[str]:
    """What is printed after each line; at the end of the lines the chat ends."""
    left, outputs = list(lines), []

    def read(prompt: str) -> str:
        outputs.append(capsys.readouterr().out)
        if not left:
            raise EOFError
        line = left.pop(0)
        if isinstance(line, BaseException):
            raise line
        return line

    chat.talk(read)
    return outputs[1:]


def spoken(output: str) -> str:
    """The answer in what was printed, without the line below it."""
    answer, effort = output.rsplit("\n  ", 1)
    assert re.fullmatch(r"\d+ tokens? · \d+\.\d s( · cut off at the limit)? · [\d,.]+ tokens/s\n", effort), effort
    return answer


def alone(course, name: str | None, tokenizer) -> str:
    """The oracle: the base, or a fresh base with this adapter loaded, and no bank anywhere."""
    model = load_adapter(make_model(), course / "adapters" / name) if name else make_model()
    return generate(model, tokenizer, [QUESTION], TOLD.get(name, "Be kind"), LIMIT)[0]


# ---- who answers, and what it is told


def test_each_adapter_answers_as_it_does_alone_and_the_base_comes_back(chat, course, capsys, tiny_tokenizer):
    lines = [QUESTION, "/use sql", QUESTION, "/use voice", QUESTION, "/base", QUESTION]
    base, _, sql, _, voice, _, again = heard(chat, capsys, *lines)
    wanted = {name: alone(course, name, tiny_tokenizer) for name in (None, "sql", "voice")}
    assert [spoken(base), spoken(sql), spoken(voice), spoken(again)] == [*wanted.values(), wanted[None]]
    assert len(set(wanted.values())) == 3, "the three are not the same"


@pytest.mark.parametrize("weights", [{"sql": 0.5, "voice": 0.5}, {"sql": 0.3, "voice": 0.7}, {"voice": -1.0}])
def test_a_mix_answers_as_the_banks_blend_told_what_its_heaviest_is_told(chat, course, capsys, tiny_tokenizer, weights):
    line = "/mix " + " ".join(f"{name}={weight}" for name, weight in weights.items())
    said, answer = heard(chat, capsys, line, QUESTION)
    heaviest = max(weights, key=weights.get)
    assert TOLD[heaviest] in said and chat.bank.active == weights

    bank = AdapterBank(make_model())
    for name in weights:
        bank.add(name, course / "adapters" / name)
    bank.blend(weights)
    assert [spoken(answer)] == generate(bank.model, tiny_tokenizer, [QUESTION], TOLD[heaviest], LIMIT)


def test_an_adapter_in_a_folder_anywhere_and_one_without_a_prompt_of_its_own(chat, course, capsys, tmp_path):
    folder = tmp_path / "my own adapter"
    save_adapter(load_adapter(make_model(), course / "adapters" / "sql"), folder)
    shipped, own = heard(chat, capsys, "/use sql", f"/use {folder}")
    assert shipped == "sql answers now, and is told: To SQL\n"
    assert own == f"{folder} answers now, and is told: Be kind\n"


def test_an_adapter_is_taken_in_once(chat, course, capsys):
    heard(chat, capsys, "/use sql", "/mix sql=1 voice=0.1", "/use sql", "/use sql")
    assert chat.bank.names == ["sql", "voice"] and chat.bank.active == "sql" and chat.who == "sql"


def test_an_adapter_that_learned_conversations_is_given_what_was_said_until_a_new_one_begins(
    chat, course, capsys, tmp_path, tiny_tokenizer
):
    model = load_adapter(make_model(), course / "adapters" / "sql")
    save_adapter(model, tmp_path / "talker", {"system": "Be kind", "conversations": True})
    mine = "And mine?"
    lines = [f"/use {tmp_path / 'talker'}", QUESTION, mine, "/new", mine, "/use sql", QUESTION, mine]
    told, first, second, _, anew, _, _, alone = heard(chat, capsys, *lines)
    assert "it's given what was said before. /new starts another" in told
    said = [{"role": "user", "content": QUESTION}, {"role": "assistant", "content": spoken(first)}]
    asked = [said[:1], [*said, {"role": "user", "content": mine}], mine]
    wanted = generate(model, tiny_tokenizer, asked, "Be kind", LIMIT)
    assert [spoken(first), spoken(second), spoken(anew)] == wanted and len(set(wanted)) == 3
    assert [spoken(alone)] == generate(model, tiny_tokenizer, [mine], "To SQL", LIMIT)
    assert not chat.remembers, "this one learned single questions"
    output = heard(chat, capsys, lines[0], "x" * 200, "x" * 300)[-1]
    assert "the model reads up to 500. Type something shorter, or begin a new conversation." in output


# ---- lines that cannot be followed


@pytest.mark.parametrize(
    "line, said",
    [
        ("/use sqll", "there is no adapter 'sqll'. Name one of the course's (sql, voice) or a folder with adapter_con"),
        ("/use " + "x" * 5000, "name"),  # "there is no adapter …", or what the file system thinks of it
        ("/use", "'/use' is no command as it stands. /help"),
        ("/use sql voice", "there is no adapter 'sql voice'"),
        ("/mix sql=0.5 vioce=0.5", "there is no adapter 'vioce'"),
        ("/mix sql 0.5", "name each adapter once, with its weight: /mix sql=0.5 voice=0.5"),
        ("/mix sql=half", "name each adapter once"),
        ("/mix =1", "name each adapter once"),
        ("/mix sql=0.5 sql=0.2", "name each adapter once"),
        ("/mix sql=nan", "the weight of 'sql' must be a finite number"),
        ("/mix", "'/mix' is no command as it stands"),
        ("/dance", "'/dance' is no command as it stands"),
        ("/base sql", "'/base sql' is no command as it stands"),
        ("x" * 600, "tokens, and the model reads up to 500. Type something shorter."),
    ],
)
def test_a_line_that_cannot_be_followed_is_answered_and_changes_nothing(chat, capsys, line, said):
    *_, output, after = heard(chat, capsys, "/use voice", line, QUESTION)
    assert said.lower() in output.lower() and output.count("\n") == 1
    assert chat.bank.active == "voice" and spoken(after), "and the chat goes on"


def test_a_damaged_adapter_and_one_of_another_base_are_refused_with_the_reason(chat, course, capsys, tmp_path):
    cut, foreign = tmp_path / "cut", tmp_path / "foreign"
    model = load_adapter(make_model(), course / "adapters" / "sql")
    note(model, base_name="another", fingerprint="f00")
    for folder in (cut, foreign):
        save_adapter(model, folder)
    weights = cut / "adapter_model.safetensors"
    weights.write_bytes(weights.read_bytes()[:-100])
    note(chat.model, fingerprint="ba5e")
    (cut / "labkit.json").unlink()
    *both, answer = heard(chat, capsys, f"/use {cut}", f"/use {foreign}", QUESTION)
    assert "not a whole safetensors file" in both[0] and "trained on another base: another" in both[1]
    assert chat.who == "base" and spoken(answer)


def test_nothing_typed_asks_nothing_and_help_lists_commands_and_adapters(chat, capsys):
    assert heard(chat, capsys, "", "   ", "\t") == ["", "", ""]
    [helped] = heard(chat, capsys, "/help")
    assert all(word in helped for word in ("/use", "/mix", "/base", "/new", "/quit", "Ctrl-C", "adapters: sql, voice"))


def test_a_line_goes_on_after_a_backslash(chat, capsys, tiny_tokenizer):
    answer = heard(chat, capsys, "one\\", "two")[-1]
    assert [spoken(answer)] == generate(make_model(), tiny_tokenizer, ["one\ntwo"], "Be kind", LIMIT)


def test_ctrl_c_while_typing_leaves_nobody_out(chat, capsys):
    interrupted, answer = heard(chat, capsys, KeyboardInterrupt(), QUESTION)
    assert "/quit leaves the chat" in interrupted and spoken(answer)


@pytest.mark.parametrize("limit", [0, -1, "12", 1.5, True, 512])
def test_an_answer_without_room_is_refused(tiny_tokenizer, limit):
    with pytest.raises(
        ConfigError, match="1 to 511 new tokens" if limit == 512 else "a whole number of at least 1, got "
    ):
        Chat(make_model(), tiny_tokenizer, max_new_tokens=limit)


@pytest.mark.parametrize("context, limit", [(1024, 256), (512, 256), (64, 32)])
def test_where_no_limit_is_asked_for_there_is_room_for_a_question(tiny_tokenizer, context, limit):
    assert Chat(make_tiny_llama(max_position_embeddings=context), tiny_tokenizer).max_new_tokens == limit


def test_a_base_without_a_context_answers(capsys, tiny_tokenizer):
    """BLOOM's positions are slopes, for any length."""
    bloom = make("bloom", vocab_size=128)
    answer = heard(Chat(bloom, tiny_tokenizer, "Be kind", LIMIT), capsys, QUESTION)[-1]
    assert [spoken(answer)] == generate(bloom, tiny_tokenizer, [QUESTION], "Be kind", LIMIT)


def test_whatever_fails_is_a_line_and_the_chat_goes_on(chat, capsys, monkeypatch):
    def fails(*_, **__):
        raise RuntimeError("Expected all tensors\nto be somewhere else")

    monkeypatch.setattr(chat.bank, "add", fails)
    failed, answer = heard(chat, capsys, "/use sql", QUESTION)
    assert "RuntimeError: Expected all tensors). Another question" in failed and failed.count("\n") == 1
    assert chat.who == "base" and spoken(answer)


def test_neither_a_strangers_folder_nor_an_answer_moves_the_cursor(chat, capsys, tmp_path, tiny_tokenizer):
    model = load_adapter(make_model(), chat_module.course_data_dir() / "adapters" / "sql")
    save_adapter(model, tmp_path / "stranger", {"system": "Be\x1b[2J kind\n"})
    [said] = heard(chat, capsys, f"/use {tmp_path / 'stranger'}")
    assert "\x1b" not in said and r"Be\x1b[2J kind" in said
    monkeypatch_text(chat, "a\x1b[2Jb\tc\n")
    [answer] = heard(chat, capsys, QUESTION)
    assert answer.startswith("a\\x1b[2Jb\tc\n")


def monkeypatch_text(chat, text: str) -> None:
    """Have the tokenizer read `text` out of whatever the model says."""
    tokenizer = make_tiny_tokenizer()
    tokenizer.decode = lambda ids, **_: text
    chat.tokenizer = tokenizer


def test_a_model_that_is_served_already_is_refused(chat, tiny_tokenizer):
    with pytest.raises(ConfigError, match="served by an AdapterBank"):
        Chat(chat.model, tiny_tokenizer)


# ---- the command


def run(course, text: str, *options) -> str:
    command = [sys.executable, "-m", "labkit.cli", "chat", "--base", str(course / "base"), *map(str, options)]
    done = subprocess.run(command, input=text.encode(), capture_output=True, timeout=300)
    assert done.returncode == 0 and done.stderr == b"", done.stderr.decode()
    return done.stdout.decode()


@pytest.mark.slow
def test_a_whole_chat_through_a_pipe(course, tiny_tokenizer):
    folder = course / "adapters" / "voice"
    text = f"{QUESTION}\n/use nobody\n/use {folder}\n{QUESTION}\n/base\n{QUESTION}\n/quit\nnot this\n"
    said = run(course, text, "--system", "Be kind", "--max-new-tokens", LIMIT)
    base, voice = (alone(course, name, tiny_tokenizer) for name in (None, "voice"))
    assert re.fullmatch(
        rf"base listens\. .*\nbase> {re.escape(base)}\n.*tokens/s\nbase> there is no adapter 'nobody'.*\n"
        rf"base> .* answers now.*As a keeper\n.*> {re.escape(voice)}\n.*tokens/s\n"
        rf"{re.escape(str(folder))}> base> {re.escape(base)}\n.*tokens/s\nbase> ",
        said,
    ), said


@pytest.mark.parametrize(("typed", "answers"), [(b"", 0), (b"caf\xe9\nHi\n", 2)])
def test_the_input_ends_without_quit_and_bytes_that_are_no_text_are_a_question_like_any_other(
    typed, answers, course, monkeypatch, capsys
):
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(typed), encoding="utf-8"))
    assert main(["chat", "--base", str(course / "base"), "--max-new-tokens", "3"]) == 0
    printed, errors = capsys.readouterr()
    assert printed.count("tokens/s") == answers and printed.endswith("base> \n") and errors == ""


@pytest.mark.slow
@pytest.mark.skipif(sys.platform == "win32", reason="Windows has no SIGINT to send to one process")
def test_ctrl_c_stops_an_answer_and_not_the_chat(course):
    command = [sys.executable, "-m", "labkit.cli", "chat", "--base", str(course / "base"), "--max-new-tokens", "15000"]
    chat = subprocess.Popen(
        command,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        # whoever runs the tests in the background may have it ignored
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.default_int_handler),
    )
    try:
        chat.stdin.write(f"{QUESTION}\n".encode())
        chat.stdin.flush()
        seen = b""
        while b"base> " not in seen or len(seen.split(b"base> ")[-1]) < 5:  # the answer is on its way
            seen += chat.stdout.read1()
        chat.send_signal(signal.SIGINT)
        while b"stopped" not in seen:
            assert (more := chat.stdout.read1()), seen[-500:]
            seen += more
        said, _ = chat.communicate(b"/help\n/quit\n", timeout=60)
    finally:
        chat.kill()
    assert chat.returncode == 0 and b"/mix sql=0.5" in said
    assert int(re.search(rb"(\d+) tokens.*stopped", seen)[1]) < 15_000


# ---- the real base


@pytest.mark.slow
@pytest.mark.skipif("sql" not in shipped_adapters(), reason="data/adapters holds no adapter called sql")
def test_the_real_base_with_the_course_adapters(monkeypatch, capsys):
    task, voice = load_task("sql"), load_task("voice")
    rows = [task.rows("test")[0], voice.rows("test")[0]]
    typed = [row["prompt"].replace("\n", "\\\n") for row in rows]
    text = f"What is the capital of France?\n/use sql\n{typed[0]}\n/use voice\n{typed[1]}\n"
    monkeypatch.setattr(sys, "stdin", io.StringIO(text))
    assert main(["chat", "--max-new-tokens", "24"]) == 0
    said = capsys.readouterr().out
    assert "Paris" in said and said.count("tokens/s") == 3 and SYSTEM not in said

    model, tokenizer = load_base(device="cpu")
    bank = AdapterBank(model)
    for name, row, system in zip(("sql", "voice"), rows, (task.system, voice.system)):
        bank.add(name, shipped_adapters()[name])
        bank.activate(name)
        assert generate(model, tokenizer, [row["prompt"]], system, 24)[0] in said
