"""Quick check of notebook 06: baselines, intervals, rows, leaks, and what a narrow training forgets."""

from labkit.lab.quizzes import Question, questions

QUESTIONS = [
    Question(
        "Your LoRA gets 62 % right. What do you need before that means anything?",
        {
            "A larger base to compare with": "That says what more money buys. Whether LoRA was needed at all, it "
            "doesn't say. (Section 6.4.)",
            "What a simple method gets on the same rows": "Always giving the commonest answer may get nearly as much, "
            "and TF-IDF as much, in seconds. (Section 6.4.)",
            "A lower loss": "A loss has no yardstick of its own. (Section 6.4.)",
        },
        right="b",
    ),
    Question(
        "Two methods score 58 % and 65 %, and their intervals overlap. Both answered the same rows. Are they apart?",
        {
            "No, overlapping intervals can't be told apart": "Each interval has the luck of the rows in it. Both had "
            "the same rows, so most of that luck falls out of the difference. (Section 6.5.)",
            "Yes, seven points are a lot": "With few rows, seven points come and go. (Section 6.5.)",
            "Look at the interval of the difference, row by row": "That's the question itself: how often does one "
            "have right what the other has wrong? (Section 6.5.)",
        },
        right="c",
    ),
    Question(
        "A difference is real, and you test on so many rows that its interval would just leave out zero. How often "
        "will you see it?",
        {
            "About half of the time": "What you measure lies above the truth as often as below. To see it four "
            "times in five, take about twice as many rows. (Section 6.5.)",
            "95 % of the time": "That's how seldom you'd see a difference where there's none. Seeing one that's there "
            "is another matter. (Section 6.5.)",
            "Always, it's real": "Rows are drawn by chance, and a chance can hide it. (Section 6.5.)",
        },
        right="a",
    ),
    # RESULT: what's said of copies, templates and twice the rows
    Question(
        "You've got 24 rows and an afternoon. What's worth most?",
        {
            "Copying each row ten times": "A copy says nothing new. (Section 6.6.)",
            "Writing a template that makes a thousand rows": "They're all alike, and what they teach, a few rows have "
            "taught already. (Section 6.6.)",
            "Labeling more rows of the real thing": "Twice the rows bring more than anything you do to the old ones. "
            "(Sections 6.3 and 6.6.)",
        },
        right="c",
    ),
    Question(
        "Nearly nine in ten test rows are right, at last! None is in the training file, word for word. What now?",
        {
            "Ship it": "Word for word is how the fewest leaks look. (Section 6.7.)",
            "Look for rows that are nearly the same": "Copies with a word changed, several rows about one thing, the "
            "same author: each gives answers away. (Section 6.7.)",
            "Draw another test from the same file": "What leaked would leak again. Split by what belongs together, "
            "before you draw. (Section 6.7.)",
        },
        right="b",
    ),
    Question(
        "After training, the model answers “What is the capital of France?” with a category. The base is frozen. How "
        "can that be?",
        {
            "The base's weights were overwritten": "They're the same, bit for bit. Switch the adapter off, and it says "
            "Paris. (Section 6.8.)",
            "The question was too hard for it": "It answered before. (Section 6.8.)",
            "The adapter also works on questions it wasn't trained on": "It's added in every layer, to every token, "
            "whatever is asked. (Section 6.8.)",
        },
        right="c",
    ),
    Question(
        "On 100 rows, 90 want “no”. A model always says “no”. What's its accuracy, and is its macro F1 above one half?",
        {
            "90 %, and no": "“No” has an F1 of 0.95, “yes” one of 0: the mean is 0.47. (Section 6.4.)",
            "90 %, and yes": "The label it never gives has an F1 of zero, and counts as much. (Section 6.4.)",
            "50 %, and no": "Accuracy counts rows, and it has 90 of them right. (Section 6.4.)",
        },
        right="a",
    ),
]

questions("06", QUESTIONS)
