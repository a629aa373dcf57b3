import pytest
from hypothesis import given
from hypothesis import strategies as st

from labkit import DataError
from labkit.tasks.conversations import ROLES, as_question, checked_messages

USER, ANSWER = {"role": "user", "content": "Hi"}, {"role": "assistant", "content": "Ho"}
SYSTEM = {"role": "system", "content": "Be kind"}
PARTS = [{"type": "text", "text": "Hi"}, {"type": "text", "text": " you"}]
PICTURE = [*PARTS, {"type": "image_url", "image_url": {"url": "x"}}]


@pytest.mark.parametrize(
    ("messages", "problem"),
    [
        (None, '"messages" is null, not a list. Write {"messages":'),
        ("Hi", '"messages" is a string, not a list'),
        (USER, '"messages" is an object, not a list'),
        ([], '"messages" is empty'),
        (["Hi"], "message 1 is a string, not an object"),
        ([USER, {"role": "assistant"}], 'message 2 has no "content"'),
        ([{"content": "Hi"}], 'message 1 has no "role"'),
        ([USER, ANSWER | {"role": "Assistant"}], 'message 2 has the role "Assistant". The roles are system, user, ass'),
        ([SYSTEM | {"role": "developer"}, USER, ANSWER], 'the role "developer".*developer is called system'),
        ([USER | {"role": 3}], "message 1 has a role that is a number"),
        ([USER, SYSTEM, ANSWER], "message 2 is the system's, and not the first. Put what it says first"),
        ([SYSTEM, SYSTEM, USER, ANSWER], "message 2 is the system's, and not the first"),
        ([ANSWER, USER, ANSWER], "the assistant speaks before any user"),
        ([SYSTEM, ANSWER], "no user speaks"),
        ([SYSTEM], "no user speaks"),
        ([USER], "the assistant says nothing. Add its answer"),
        ([USER, ANSWER | {"content": " \n"}], "the content of message 2 is empty"),
        ([USER, ANSWER | {"content": 87}], "the content of message 2 is a number, not a string. Put it in quotes"),
        ([USER, ANSWER | {"content": "\ud800"}], "the content of message 2 holds half a character"),
        (
            [USER | {"content": PARTS}, ANSWER],
            'message 1 is a list of parts, not a string. Join them: "content": "".join',
        ),
        ([USER | {"content": PICTURE}, ANSWER], "message 1 is a list of parts, not a string. labkit reads text"),
        (
            [USER, {"role": "assistant", "content": None, "tool_calls": [{"id": 1}]}],
            "message 2 is a tool call, or what",
        ),
        ([USER, ANSWER | {"function_call": {"name": "f"}}], "message 2 is a tool call, or what"),
        (
            [USER, ANSWER, {"role": "tool", "content": "3"}],
            "message 3 is a tool call, or what a tool answers. Training",
        ),
        ([USER, ANSWER | {"weight": 0}], 'message 2 has a weight. Choose what counts with turns="all" or turns="last"'),
    ],
)
def test_what_is_no_conversation_is_refused(messages, problem):
    with pytest.raises(DataError, match=f"^mine.jsonl:17: .*{problem}") as caught:
        checked_messages(messages, "mine.jsonl:17")
    assert "\n" not in str(caught.value)


def test_the_parts_are_joined_by_what_the_message_says():
    with pytest.raises(DataError) as caught:
        checked_messages([USER | {"content": PARTS}, ANSWER], "row")
    content = PARTS
    joined = eval(caught.value.remedy.partition('"content": ')[2], {"content": content})
    assert joined == "Hi you" and checked_messages([USER | {"content": joined}, ANSWER], "row")


said = st.tuples(st.sampled_from(ROLES), st.text("ab", max_size=2)).map(lambda one: dict(zip(("role", "content"), one)))


@given(st.lists(said, max_size=6), st.booleans())
def test_any_messages_are_a_conversation_or_refused_and_come_back_as_they_are(messages, answers):
    roles = [message["role"] for message in messages]
    talk = roles[1:] if roles[:1] == ["system"] else roles
    right = all(message["content"] for message in messages) and talk[:1] == ["user"] and "system" not in talk
    right = right and ("assistant" in talk or not answers)
    if right:
        assert checked_messages(messages, "row", answers) == (messages, set())
        question = as_question({"messages": messages})
        if question["completion"] is not None:
            answer = {"role": "assistant", "content": question["completion"]}
            at = len(question["prompt"])
            assert [*question["prompt"], answer] == messages[: at + 1]
            assert all(message["role"] != "assistant" for message in messages[at + 1 :])
    else:
        with pytest.raises(DataError):
            checked_messages(messages, "row", answers)


def test_fields_that_are_not_needed_are_named_and_left_out():
    messages = [USER | {"name": "Ann", "tool_calls": None}, ANSWER | {"reasoning_content": "Hm"}]
    assert checked_messages(messages, "row") == ([USER, ANSWER], {"messages.name", "messages.reasoning_content"})


def test_a_row_that_is_no_conversation_is_a_question_as_it_is():
    row = {"prompt": "a", "completion": "b", "messages": None}
    assert as_question(row) is row
