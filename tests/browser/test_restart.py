"""A kernel restarted in the middle: the page says what to do, and what was answered is still there."""

from labkit.course.nb03.questions import QUESTIONS


def test_after_a_restart_the_learner_goes_on_where_they_were(notebook_03):
    quiz, question = notebook_03.cell('quiz("03")'), QUESTIONS[1]
    notebook_03.option(quiz, question.right_option).check()
    notebook_03.wait_for(quiz, f"✔ {question.options[question.right_option]}")

    notebook_03.restart_kernel()
    cell = notebook_03.cell('print(f"logits compared:')
    notebook_03.run(cell)
    notebook_03.wait_for(cell, "NameError: name 'torch' is not defined")
    assert notebook_03.error(cell).count() == 1

    notebook_03.run_all_above(cell)
    notebook_03.run(cell)
    notebook_03.wait_for(cell, "✔ fresh adapter: every logit as before, bit for bit")
    assert notebook_03.error(cell).count() == 0

    notebook_03.run(quiz)
    assert notebook_03.option(quiz, question.right_option).is_checked()
    notebook_03.wait_for(quiz, f"✔ {question.options[question.right_option]}")

    notebook_03.run_all()  # for whoever uses the page next
    assert not any(cell.errors for cell in notebook_03.sight().cells)
