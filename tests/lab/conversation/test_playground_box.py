import pytest
import torch
from conftest import make_tiny_llama

from labkit import ConfigError, LoraConfig, disable_adapter, generate, inject_lora, lora_layers, merge, playground
from labkit.lab.conversation import playground_box
from labkit.lab.conversation.answering import Stopped, ask, converse, explained
from labkit.lab.conversation.playground_box import AskingBox, standing_in
from labkit.lab.conversation.showing import Answer, Conversation

pytestmark = pytest.mark.usefixtures("one_thread")

QUESTION, SYSTEM, LIMIT = "What is your name?", "Be kind", 10


def make_model(adapter: bool = False):
    """Weights large enough that the answer depends on the question; an adapter whose B is not zero."""
    model = make_tiny_llama(max_position_embeddings=512, initializer_range=0.5, tie_word_embeddings=False)
    if adapter:
        inject_lora(model, LoraConfig(target_modules="all-linear"))
        for _, layer in lora_layers(model):
            torch.nn.init.normal_(layer.lora_B.weight, std=0.5)
    return model


def state(model) -> list:
    """Everything that asking may change for a moment."""
    flags = [(layer.enabled, layer.merged) for _, layer in lora_layers(model)]
    return [model.training, model.generation_config, flags]


@pytest.fixture
def tokenizer(tiny_tokenizer):
    return tiny_tokenizer


# ---- asking


def test_a_model_without_adapter_answers_as_generate_does(tokenizer):
    model, shown = make_model(), []
    [answer] = ask(model, tokenizer, QUESTION, SYSTEM, LIMIT, shown.append)
    assert [answer.text] == generate(model, tokenizer, [QUESTION], SYSTEM, LIMIT)
    assert answer.who == "The model" and answer.seconds > 0
    assert [one.tokens for (one,) in shown] == list(range(1, answer.tokens + 1))
    assert shown[0][0].text != answer.text, "it grew"


@pytest.mark.parametrize("merged", [False, True])
@pytest.mark.parametrize("training", [False, True])
def test_with_an_adapter_the_base_answers_first_then_the_adapter(tokenizer, merged, training):
    model, shown = make_model(adapter=True).train(training), []
    with disable_adapter(model):
        base_says = generate(model, tokenizer, [QUESTION], SYSTEM, LIMIT)[0]
    adapter_says = generate(model, tokenizer, [QUESTION], SYSTEM, LIMIT)[0]
    assert base_says != adapter_says and base_says == generate(make_model(), tokenizer, [QUESTION], SYSTEM, LIMIT)[0]

    if merged:
        merge(model)
    before, weights = state(model), [p.clone() for p in model.parameters()]
    answers = ask(model, tokenizer, QUESTION, SYSTEM, LIMIT, shown.append)
    assert [(one.who, one.text) for one in answers] == [("The base", base_says), ("With the adapter", adapter_says)]
    assert [len(both) for both in shown] == sorted(len(both) for both in shown)
    assert all(both[0] == answers[0] for both in shown if len(both) == 2), "the base has finished"
    assert state(model) == before
    assert all(torch.equal(one, other) for one, other in zip(weights, model.parameters(), strict=True))


@pytest.mark.parametrize("when", [1, 4, 12, 15])
@pytest.mark.parametrize("error", [Stopped, KeyboardInterrupt, RuntimeError])
def test_whatever_ends_it_the_adapter_is_as_it_was(tokenizer, error, when):
    """Tokens 1 and 4 are the base's, 12 and 15 the adapter's."""
    model = make_model(adapter=True).train()
    before, shown = state(model), []

    def fail(answers):
        shown.append(answers)
        if len(shown) == when:
            raise error

    with pytest.raises(error):
        ask(model, tokenizer, QUESTION, SYSTEM, LIMIT, fail)
    assert len(shown) == when and state(model) == before


def test_the_limit_is_told_only_when_it_cut_the_answer_off(tokenizer):
    model = make_model()
    [cut] = ask(model, tokenizer, QUESTION, SYSTEM, LIMIT, lambda answers: None)
    assert cut.tokens == LIMIT and cut.cut
    first = tokenizer.convert_tokens_to_ids(cut.text[0])
    with torch.no_grad():  # the token that would come first now loses to the end of turn
        model.lm_head.weight[tokenizer.eos_token_id] = model.lm_head.weight[first] * 2
    [ended] = ask(model, tokenizer, QUESTION, SYSTEM, 1, lambda answers: None)
    assert (ended.text, ended.tokens, ended.cut) == ("", 1, False)
    model = make_model()
    model.generation_config.eos_token_id = [2, first]  # an end that only the base knows
    [ended] = ask(model, tokenizer, QUESTION, SYSTEM, LIMIT, lambda answers: None)
    assert (ended.tokens, ended.cut) == (1, False)


@pytest.mark.parametrize("question", ["", "   ", "\n\t"])
def test_nothing_typed_is_refused(tokenizer, question):
    with pytest.raises(ConfigError, match="Type a sentence first"):
        ask(make_model(), tokenizer, question, SYSTEM, LIMIT, print)


def test_more_than_the_model_can_read_is_refused_and_what_just_fits_is_not(tokenizer):
    model = make_tiny_llama()  # it reads 64 tokens
    with pytest.raises(ConfigError, match="and the model reads up to 54"):
        ask(model, tokenizer, "fox " * 30, "", LIMIT, print)
    for length in range(1, 64):
        try:
            ask(model, tokenizer, "x" * length, "", LIMIT, lambda answers: None)
        except ConfigError as error:
            assert "That is 55 tokens" in str(error)
            return
    pytest.fail("nothing was too long")


def test_an_answer_that_leaves_no_room_to_ask_in_is_refused(tokenizer):
    with pytest.raises(ConfigError, match="An answer of 64 tokens leaves no room .* context ends at 64"):
        ask(make_tiny_llama(), tokenizer, "Hi", "", 64, print)


@pytest.mark.parametrize("text", [None, 8, ["Hi"]])
def test_what_is_no_sentence_is_a_line(tokenizer, text, capsys):
    playground(make_model(), tokenizer, text)
    assert "Type a sentence first" in capsys.readouterr().out


# ---- what goes wrong becomes a line


def test_a_failing_model_is_explained_and_what_was_answered_is_kept(tokenizer):
    model, shown = make_model(adapter=True), []

    def break_the_adapter(conversation):
        shown.append(conversation)
        if len(conversation.answers) == 2:
            model.lm_head.weight.data = model.lm_head.weight.data[:, :5]  # a learner's slip

    told = converse(model, tokenizer, QUESTION, SYSTEM, LIMIT, break_the_adapter)
    assert told.answers[0].text == generate(make_model(), tokenizer, [QUESTION], SYSTEM, LIMIT)[0]
    assert "RuntimeError" in told.remark and "\n" not in told.remark
    assert all(layer.enabled for _, layer in lora_layers(model))


def test_the_learners_interrupt_goes_through_to_the_cell(tokenizer):
    def interrupt(conversation):
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        converse(make_model(), tokenizer, QUESTION, SYSTEM, LIMIT, interrupt)


@pytest.mark.parametrize(
    "error, line",
    [
        (Stopped(), "Stopped. The model is as it was."),
        (KeyboardInterrupt(), "Stopped. The model is as it was."),
        (ConfigError("Type something shorter."), "Type something shorter."),
        (ValueError("bad\nTraceback:\n…"), "The model could not answer (ValueError: bad)."),
        (
            FileNotFoundError(2, "No such file", "a.json"),
            "a.json can't be used (No such file). Check the path, and your",
        ),
        (MemoryError(), "The model could not answer (MemoryError: no reason given)."),
    ],
)
def test_explained(error, line):
    assert explained(error).startswith(line) and "\n" not in explained(error)


# ---- what is stored


def test_a_plain_run_prints_question_and_answer(tokenizer, capsys):
    model = make_model()
    [wanted] = generate(model, tokenizer, [QUESTION], SYSTEM, LIMIT)
    playground(model, tokenizer, QUESTION, system=SYSTEM, max_new_tokens=LIMIT)
    assert f"You: {QUESTION}\nThe model: {wanted}\n" in capsys.readouterr().out
    playground(model, tokenizer, "", system=SYSTEM)
    assert capsys.readouterr().out.startswith("Type a sentence first")


def test_an_answer_that_may_differ_elsewhere_is_only_in_the_picture(tokenizer):
    base = standing_in(converse(make_model(), tokenizer, QUESTION, SYSTEM, LIMIT, lambda conversation: None))
    both = converse(make_model(adapter=True), tokenizer, QUESTION, SYSTEM, LIMIT, lambda conversation: None)
    text, page, picture = standing_in(both)
    assert base[1] and base[2] is None
    assert both.answers[0].text in text and both.answers[1].text not in text
    assert page is None and picture.startswith(b"\x89PNG")
    again = converse(make_model(adapter=True), tokenizer, QUESTION, SYSTEM, LIMIT, lambda conversation: None)
    assert standing_in(again)[0] == text, "times differ, the text does not"


@pytest.mark.parametrize("limit", [0, -1, "8", 8.5, None])
def test_an_answer_without_tokens_is_refused(tokenizer, limit):
    with pytest.raises(ConfigError, match="max_new_tokens must be a whole number of at least 1"):
        playground(make_model(), tokenizer, QUESTION, max_new_tokens=limit)


# ---- the widgets


def grows(question, show):
    """An answer in two tokens."""
    for count, text in enumerate(["a", "a b"], start=1):
        show(Conversation(question, (Answer("m", text, count),)))
    return Conversation(question, (Answer("m", "a b", 2),), "the end")


def box(answer=grows) -> AskingBox:
    return AskingBox(answer, Conversation("Hi", (Answer("m", "hello", 1),)))


def press_enter(asked: AskingBox) -> None:
    asked.field._handle_custom_msg({"event": "submit"}, [])  # as the browser sends it


@pytest.mark.parametrize("press", [lambda asked: asked.button.click(), press_enter])
def test_button_and_enter_answer_what_stands_in_the_field(press):
    asked, values = box(), []
    assert asked.field.value == "Hi" and "hello" in asked.conversation.value
    asked.conversation.observe(lambda change: values.append(change["new"]), "value")
    asked.field.value = "And you?"
    press(asked)
    assert "And you?" in values[-1] and "the end" in values[-1]
    assert any(">a<" in value for value in values), "it was to be seen while it grew"
    assert (asked.button.disabled, asked.stop.disabled) == (False, True)


def test_stop_ends_this_answer_and_not_the_next(tokenizer):
    model, to_press = make_model(), [3]  # after the third token, once

    def answer(question, show):
        def press_stop(conversation):
            if conversation.answers[0].tokens in to_press:
                to_press.clear()
                asked.stop.click()
            show(conversation)

        return converse(model, tokenizer, QUESTION, SYSTEM, LIMIT, press_stop)

    asked = box(answer)
    asked.button.click()
    assert "3 tokens" in asked.conversation.value and "Stopped." in asked.conversation.value
    asked.button.click()
    assert f"{LIMIT} tokens" in asked.conversation.value and "Stopped" not in asked.conversation.value


def test_an_interrupt_is_told_and_the_widget_can_be_used_again():
    def interrupted(question, show):
        if question == "Hi":
            show(Conversation(question, (Answer("m", "so far", 2),)))
            raise KeyboardInterrupt
        return grows(question, show)

    asked = box(interrupted)
    asked.button.click()
    assert "so far" in asked.conversation.value and "Stopped." in asked.conversation.value
    asked.field.value = "again"
    asked.button.click()
    assert "the end" in asked.conversation.value


def test_one_question_at_a_time(monkeypatch):
    """A second press, while the first waits for a running cell, asks nothing."""
    waiting = []
    monkeypatch.setattr(playground_box, "run_between_cells", waiting.append)
    asked = box()
    asked.button.click()
    press_enter(asked)
    assert len(waiting) == 1 and "as soon as the running cell has ended" in asked.conversation.value
    waiting[0]()
    assert "the end" in asked.conversation.value
    press_enter(asked)
    assert len(waiting) == 2
