"""The Modelfile: its template writes what the base's own writes, and Ollama's parser reads back what was meant."""

import re
from functools import cache

import pytest
from chat_templates import TEMPLATES, tokenizer_with
from conftest import make_tiny_llama, make_tiny_tokenizer
from hypothesis import given
from hypothesis import strategies as st
from jinja2 import Environment
from tokenizers import processors

from labkit.base.chat_format import prompt_text
from labkit.errors import ConfigError
from labkit.export.modelfile import conversation_of, modelfile

pytestmark = pytest.mark.filterwarnings("ignore:this base's chat template knows no system role")
TURNS = ["Hello", "Yes?", "What is 2 + 2?", "4", "Thanks"]
IN_JINJA = {
    ".System": "System",
    "range $i, $_ := .Messages": "for m in Messages",
    'if eq .Role "user"': "if m.role == 'user'",
    'else if eq .Role "assistant"': "elif m.role == 'assistant'",
    ".Content": "m.content",
    "if .System": "if System",
    "if gt (len (slice $.Messages $i)) 1": "if not loop.last",
    "else": "else",
}


def rendered(template: str, system: str, turns: list[str]) -> str:
    """What Go makes of `template`: each of its actions in Jinja's words, which is told nothing else.

    The templates of this file were compared with Go's own engine once; it isn't among Python's packages.
    """
    blocks = []

    def in_jinja(found: re.Match) -> str:
        action = found[1].strip()
        if action == "end":
            return f"{{% end{blocks.pop()} %}}"
        said = IN_JINJA[action]
        if said.startswith(("for", "if")):
            blocks.append(said.split()[0])
        return f"{{{{ {said} }}}}" if action.startswith(".") else f"{{% {said} %}}"

    source = re.sub(r"\{\{(.*?)\}\}", in_jinja, template)
    assert not blocks
    messages = [{"role": "system", "content": system}]  # which Ollama has there as well
    messages += [{"role": ("user", "assistant")[i % 2], "content": said} for i, said in enumerate(turns)]
    return Environment(keep_trailing_newline=True).from_string(source).render(System=system, Messages=messages)


def commands(text: str) -> dict[str, list[str]]:
    """A Modelfile as Ollama's parser reads it: a value that begins with three quotes ends with a line that ends so."""
    found: dict[str, list[str]] = {}
    lines = iter(text.split("\n"))
    for line in lines:
        if not line.strip() or line.startswith("#"):
            continue
        name, _, value = line.partition(" ")
        if name == "PARAMETER":
            name, _, value = value.partition(" ")
        while value.startswith('"""') and not (value.rstrip().endswith('"""') and len(value.rstrip()) >= 6):
            value += "\n" + next(lines)
        quotes = 3 if value.startswith('"""') else value.startswith('"')
        found.setdefault(name, []).append(value[quotes : len(value) - quotes])
    return found


@cache
def base(end: int):
    return make_tiny_llama(eos_token_id=end)


def made(tokenizer, system: str | None = "Be brief.", **changes) -> str:
    given = {"from_base": "./base.gguf", "adapter": "./tickets.gguf", "name": "tickets"} | changes
    return modelfile(base(tokenizer.eos_token_id), tokenizer, {"system": system} if system is not None else {}, **given)


@pytest.mark.parametrize("name", TEMPLATES)
def test_the_template_writes_what_the_bases_own_does(name):
    tokenizer = tokenizer_with(name)
    found = commands(made(tokenizer))
    [template], conversation = found["TEMPLATE"], conversation_of(tokenizer)
    for system in ("Be brief.", ""):
        assert rendered(template, system, TURNS[:1]) == prompt_text(tokenizer, TURNS[0], system)
        for count in (3, 5):
            assert rendered(template, system, TURNS[:count]) == conversation.write(system, TURNS[:count])
    messages = [{"role": ("user", "assistant")[i % 2], "content": said} for i, said in enumerate(TURNS)]
    if name in ("llama 3", "qwen", "zephyr"):  # which know a system role and a prompt
        wanted = tokenizer.apply_chat_template(
            [{"role": "system", "content": "Be brief."}, *messages], add_generation_prompt=True, tokenize=False
        )
        assert rendered(template, "Be brief.", TURNS) == wanted


def test_the_whole_of_it():
    assert made(make_tiny_tokenizer(), "Ticket as JSON.") == (
        "# ollama create tickets -f Modelfile\n"
        "FROM ./base.gguf\n"
        "ADAPTER ./tickets.gguf\n"
        'TEMPLATE """<|im_start|>system\n'
        "{{ .System }}<|im_end|>\n"
        "<|im_start|>user\n"
        '{{ range $i, $_ := .Messages }}{{ if eq .Role "user" }}{{ .Content }}<|im_end|>\n'
        "<|im_start|>assistant\n"
        '{{ else if eq .Role "assistant" }}{{ .Content }}{{ if gt (len (slice $.Messages $i)) 1 }}<|im_end|>\n'
        "<|im_start|>user\n"
        '{{ end }}{{ end }}{{ end }}"""\n'
        'SYSTEM """Ticket as JSON."""\n'
        "\n"
        "# Like labkit: the likeliest token, and no penalty for repeating a word\n"
        "PARAMETER temperature 0\n"
        "PARAMETER repeat_penalty 1\n"
        "PARAMETER num_ctx 64\n"
        'PARAMETER stop "<|im_end|>"\n'
    )


def test_every_end_of_an_answer_stops_it():
    tokenizer = tokenizer_with("llama 3")
    assert commands(made(tokenizer))["stop"] == ["<|eot_id|>", "<|end_of_text|>"]


def test_a_token_that_ollama_writes_itself_is_not_written_twice():
    tokenizer = tokenizer_with("llama 3")
    bos = (tokenizer.bos_token, tokenizer.bos_token_id)
    tokenizer.backend_tokenizer.post_processor = processors.TemplateProcessing(f"{bos[0]} $A", special_tokens=[bos])
    [template] = commands(made(tokenizer))["TEMPLATE"]
    assert template.startswith("<|start_header_id|>system")
    assert tokenizer.bos_token + rendered(template, "S", TURNS[:1]) == prompt_text(tokenizer, TURNS[0], "S")


@given(system=st.text(st.characters(categories=["L", "N", "P", "S"], include_characters=' "\n\t'), max_size=12))
def test_a_system_prompt_comes_back(system):
    text = None
    try:
        text = made(make_tiny_tokenizer(), system)
    except ConfigError:
        assert '"""' in system
    if text is not None:
        assert commands(text).get("SYSTEM", [""]) == [system]


@pytest.mark.parametrize("system, what", [('three """ quotes', "three quotes in a row"), ("\u202eturned", "u202e")])
def test_a_system_prompt_that_cannot_be_there_is_refused(system, what):
    with pytest.raises(ConfigError, match=f"system prompt can't be in a Modelfile: it has .*{what}"):
        made(make_tiny_tokenizer(), system)


@pytest.mark.parametrize(
    "template, why",
    [
        ("{% for m in messages %}{{ loop.index }}{{ m.content }}{% endfor %}", "every turn alike"),
        ("{% for m in messages[:3] %}<|im_start|>{{ m.content }}{% endfor %}", "leaves out a part"),
        ("{% for m in messages %}{{ raise_exception('no') if loop.index > 4 }}{{ m.content }}{% endfor %}", "refuses"),
        ("{% for m in messages %}{{ '{{ ' + m.content + ' }}' }}{% endfor %}", "braces"),
        ('{% for m in messages %}{{ \'"""\' + m.content }}{% endfor %}', "three quotes"),
    ],
)
def test_a_template_that_is_none_of_ollamas_is_left_out_with_the_reason(template, why):
    tokenizer = make_tiny_tokenizer()
    tokenizer.chat_template = template
    text = made(tokenizer)
    assert re.search(rf"^# No TEMPLATE: .*{why}.*\. Ollama takes", text, re.MULTILINE)
    assert commands(text).keys() == {"FROM", "ADAPTER", "SYSTEM", "temperature", "repeat_penalty", "num_ctx", "stop"}
