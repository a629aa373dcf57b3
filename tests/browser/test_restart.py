"""A kernel restarted in the middle: the page says what to do, and what was answered is still there."""

from labkit.course.nb00.questions import QUESTIONS


def test_after_a_restart_the_learner_goes_on_where_they_were(notebook_00):
    quiz, question = notebook_00.cell('quiz("00")'), QUESTIONS[2]
    notebook_00.option(quiz, question.right_option).check()
    notebook_00.wait_for(quiz, f"✔ {question.options[question.right_option]}")

    notebook_00.restart_kernel()
    cell = notebook_00.cell('ids = tokenizer("The capital of France is"')
    notebook_00.run(cell)
    notebook_00.wait_for(cell, "NameError: name 'tokenizer' is not defined")
    assert notebook_00.error(cell).count() == 1

    notebook_00.run_all_above(cell)
    notebook_00.run(cell)
    notebook_00.wait_for(cell, "✔ probability that ' Paris' comes next")
    assert notebook_00.error(cell).count() == 0

    notebook_00.run(quiz)
    assert notebook_00.option(quiz, question.right_option).is_checked()
    notebook_00.wait_for(quiz, f"✔ {question.options[question.right_option]}")

    notebook_00.run_all()  # for whoever uses the page next
    assert not any(cell.errors for cell in notebook_00.sight().cells)
