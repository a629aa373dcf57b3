"""Chat templates as other people's bases bring them, shortened, each with its tokens; and tokenizers for them."""

import re
import string
from importlib.util import find_spec
from pathlib import Path

from tokenizers import AddedToken, Tokenizer, decoders, models, pre_tokenizers, trainers
from transformers import PreTrainedTokenizerFast

_CHATML = (
    "{% for m in messages %}"
    "{{ '<|im_start|>' + m['role'] + '\n' + m['content'] + '<|im_end|>\n' }}"
    "{% endfor %}{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}"
)
_NO_SYSTEM = "{% if messages[0]['role'] == 'system' %}{{ raise_exception('System role not supported') }}{% endif %}"
_IN_TURNS = (
    "{% for m in messages %}{% if (m['role'] == 'user') != (loop.index0 % 2 == 0) %}"
    "{{ raise_exception('Conversation roles must alternate user/assistant/user/...') }}{% endif %}{% endfor %}"
)

# name -> (template, special tokens, end of text, end of turn)
TEMPLATES = {
    "llama 3": (
        "{% for m in messages %}{{ (bos_token if loop.first else '') + '<|start_header_id|>' + m['role'] + "
        "'<|end_header_id|>\n\n' + m['content'] | trim + '<|eot_id|>' }}{% endfor %}"
        "{% if add_generation_prompt %}{{ '<|start_header_id|>assistant<|end_header_id|>\n\n' }}{% endif %}",
        ["<|begin_of_text|>", "<|end_of_text|>", "<|start_header_id|>", "<|end_header_id|>", "<|eot_id|>"],
        "<|end_of_text|>",
        "<|eot_id|>",
    ),
    "gemma": (
        "{{ bos_token }}"
        + _NO_SYSTEM
        + _IN_TURNS
        + "{% for m in messages %}{{ '<start_of_turn>' + ('model' if m['role'] == 'assistant' else m['role']) + '\n' + "
        "m['content'] | trim + '<end_of_turn>\n' }}{% endfor %}"
        "{% if add_generation_prompt %}{{ '<start_of_turn>model\n' }}{% endif %}",
        ["<bos>", "<eos>", "<start_of_turn>", "<end_of_turn>"],
        "<eos>",
        "<end_of_turn>",
    ),
    "mistral": (
        "{{ bos_token }}" + _IN_TURNS + "{% for m in messages %}{% if m['role'] == 'user' %}"
        "{{ '[INST] ' + m['content'] + ' [/INST]' }}{% else %}{{ ' ' + m['content'] + eos_token }}{% endif %}"
        "{% endfor %}",
        ["<s>", "</s>"],
        "</s>",
        "</s>",
    ),
    "phi 3": (
        "{% for m in messages %}{{ '<|' + m['role'] + '|>\n' + m['content'] + '<|end|>\n' }}{% endfor %}"
        "{% if add_generation_prompt %}{{ '<|assistant|>\n' }}{% else %}{{ eos_token }}{% endif %}",
        ["<|endoftext|>", "<|system|>", "<|user|>", "<|assistant|>", "<|end|>"],
        "<|endoftext|>",
        "<|end|>",
    ),
    "qwen": (_CHATML, ["<|endoftext|>", "<|im_start|>", "<|im_end|>"], "<|endoftext|>", "<|im_end|>"),
    "zephyr": (
        "{% for m in messages %}{{ '<|' + m['role'] + '|>\n' + m['content'] + eos_token + '\n' }}"
        "{% if loop.last and add_generation_prompt %}{{ '<|assistant|>\n' }}{% endif %}{% endfor %}",
        ["<s>", "</s>"],
        "</s>",
        "</s>",
    ),
    "its own system prompt": (
        "{% if messages[0]['role'] != 'system' %}<|im_start|>system\nYou are somebody else<|im_end|>\n{% endif %}"
        + _CHATML,
        ["<|im_start|>", "<|im_end|>"],
        "<|im_end|>",
        "<|im_end|>",
    ),
    "drops the system": (
        "{% for m in messages if m['role'] != 'system' %}{{ m['role'] + ': ' + m['content'] + eos_token + '\n' }}"
        "{% endfor %}{% if add_generation_prompt %}{{ 'assistant:' }}{% endif %}",
        ["</s>"],
        "</s>",
        "</s>",
    ),
    "no generation prompt": (
        "{% for m in messages %}{{ '<|im_start|>' + m['role'] + '\n' + m['content'] + '<|im_end|>\n' }}{% endfor %}",
        ["<|endoftext|>", "<|im_start|>", "<|im_end|>"],
        "<|endoftext|>",
        "<|im_end|>",
    ),
    "thinks first": (
        _CHATML.replace(
            "+ m['content']", "+ ('<think>\n\n</think>\n\n' if m['role'] == 'assistant' else '') + m['content']"
        ),
        ["<|endoftext|>", "<|im_start|>", "<|im_end|>"],
        "<|endoftext|>",
        "<|im_end|>",
    ),
    "asked to think": (
        "{% for m in messages %}{{ '<|' + m['role'] + '|>' + m['content'] }}"
        "{% if m['role'] == 'assistant' %}{{ eos_token }}{% endif %}{% endfor %}"
        "{% if add_generation_prompt %}{{ '<|assistant|><think>\n' }}{% endif %}",
        ["<s>", "</s>", "<|assistant|>", "<|user|>", "<|system|>"],
        "</s>",
        "</s>",
    ),
    "no end": (
        "{% for m in messages %}{{ '### ' + m['role'] + ':\n' + m['content'] + '\n\n' }}{% endfor %}"
        "{% if add_generation_prompt %}### assistant:\n{% endif %}",
        ["</s>"],
        "</s>",
        "</s>",
    ),
}
_TEXT = [
    "You are kind. Say a number, please: the answer is eighty-seven. [INST] [/INST] system user assistant model <s>"
]


def bytes_of(special: list[AddedToken]) -> Tokenizer:
    """As Llama 3 and Qwen do it: bytes, pieces of words with the space before them."""
    made = Tokenizer(models.BPE())
    made.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    made.decoder = decoders.ByteLevel()
    alphabet = pre_tokenizers.ByteLevel.alphabet()
    made.train_from_iterator(
        _TEXT * 3, trainers.BpeTrainer(vocab_size=330, initial_alphabet=alphabet, show_progress=False)
    )
    made.add_tokens(special)
    return made


def sentence_pieces(special: list[AddedToken], where: str = "first") -> Tokenizer:
    """As Mistral and Gemma do it: a space is ▁, and one is put before a text (Llama 2: "always", before each part)."""
    made = Tokenizer(models.BPE(byte_fallback=True, unk_token="<unk>"))
    made.pre_tokenizer = pre_tokenizers.Metaspace(prepend_scheme=where)
    made.decoder = decoders.Metaspace(prepend_scheme=where)
    alphabet = [*string.printable, "▁"]
    trainer = trainers.BpeTrainer(
        vocab_size=170, initial_alphabet=alphabet, special_tokens=["<unk>"], show_progress=False
    )
    made.train_from_iterator(_TEXT * 3, trainer)
    made.add_tokens(special)
    return made


ALPHABETS = {
    "bytes": bytes_of,
    "sentence pieces": sentence_pieces,
    "sentence pieces, always": lambda special: sentence_pieces(special, "always"),
}


def tokenizer_with(name: str, alphabet: str = "bytes", **changes) -> PreTrainedTokenizerFast:
    """A tokenizer with a template of TEMPLATES; Phi's tokens swallow the space to their right, as Phi's do."""
    template, special, end_of_text, _ = TEMPLATES[name]
    added = [AddedToken(token, special=True, normalized=False, rstrip=name == "phi 3") for token in special]
    made = PreTrainedTokenizerFast(
        tokenizer_object=ALPHABETS[alphabet](added),
        eos_token=AddedToken(end_of_text, special=True, normalized=False, rstrip=name == "phi 3"),
        bos_token=special[0] if special[0] != end_of_text else None,
        extra_special_tokens=added,
        chat_template=template,
    )
    for key, value in changes.items():
        setattr(made, key, value)
    return made


# name -> how its template writes a turn after its beginning; of that, what is the answer with its end; what comes after
_TURNS = {
    "llama 3": ("m['content'] | trim + '<|eot_id|>'", "m['content'] | trim + '<|eot_id|>'", ""),
    "gemma": ("m['content'] | trim + '<end_of_turn>\n'", "m['content'] | trim + '<end_of_turn>'", "\n"),
    "mistral": ("' ' + m['content'] + eos_token", "' ' + m['content'] + eos_token", ""),
    "phi 3": ("m['content'] + '<|end|>\n'", "m['content'] + '<|end|>'", "\n"),
    "zephyr": ("m['content'] + eos_token + '\n'", "m['content'] + eos_token", "\n"),
    "drops the system": ("' + m['content'] + eos_token + '\n'", "' ' + m['content'] + eos_token", "\n"),
} | dict.fromkeys(
    ("qwen", "its own system prompt", "no generation prompt", "thinks first"),
    ("m['content'] + '<|im_end|>\n'", "m['content'] + '<|im_end|>'", "\n"),
)


def marked(name: str) -> str:
    """The template with transformers' {% generation %} around each answer and its end, as TRL's own templates have it;
    it writes the same."""
    written, turn, after = _TURNS[name]
    template = TEMPLATES[name][0]
    assert template.count(written) == 1
    before, rest = template.split(written)
    before = before.rstrip().removesuffix("+").rstrip() if not written.startswith("' + ") else before[:-1] + "'"
    opened = before.endswith("{{")
    return (
        (before.removesuffix("{{") if opened else before + " }}")
        + "{% if m['role'] == 'assistant' %}{% generation %}{{ "
        + turn
        + " }}{% endgeneration %}{% else %}{{ "
        + turn
        + " }}{% endif %}{{ '"
        + after
        + "'"
        + rest
    )


MARKED = tuple(_TURNS)


# TRL ships the templates of many bases, and beside each the one it trains with, which marks the answers
_OF_TRL = Path(find_spec("trl").origin).parent / "chat_templates"
TRL_PAIRS = sorted(
    path.name.removesuffix("_training.jinja")
    for path in _OF_TRL.glob("*_training.jinja")
    if "generation %}" in path.read_text("utf-8") and path.with_name(path.name.replace("_training", "")).exists()
)


def trl_pair(name: str) -> tuple[PreTrainedTokenizerFast, str]:
    """A tokenizer with the template that TRL trains this base with, and the base's own. Each tag in them is a token."""
    own, training = ((_OF_TRL / f"{name}{kind}.jinja").read_text(encoding="utf-8") for kind in ("", "_training"))
    tags = sorted({"<bos>", "<eos>", *re.findall(r"<[^<>\s']{2,}>", own + training)})
    alphabet = bytes_of([AddedToken(tag, special=True, normalized=False) for tag in tags])
    return PreTrainedTokenizerFast(
        tokenizer_object=alphabet, bos_token="<bos>", eos_token="<eos>", chat_template=training
    ), own
