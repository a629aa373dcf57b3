"""What was expected of the forensics, written down before the first run, with the reason.

What was known by then: the traces of the four shipped adapters, of a trial of twelve steps on `glosses`, and of one of
eight steps that answers everything in capitals, which is no task of the course. The rule's two numbers were chosen on
these six. It names all of them right: of the five tasks, the push all but `voice`, the answers all but `sql`. Nothing
was sealed yet, and nothing else had been run.
"""

from studies.choices.predictions import Prediction

DATE = "2026-11-29"

PREDICTIONS = {
    "forensics": (
        Prediction(
            "how many of the three sealed adapters does the rule name right?",
            "two or three, and with the four shipped ones six or seven of seven",
            "the rule was chosen on the shipped ones, so those four are no news; the sealed ones have a higher rate "
            "and rank, which push harder, but the tasks that came later have no signature that was looked at",
        ),
        Prediction(
            "which witness names more of the sealed ones?",
            "the push misses `voice` if it's drawn, the answers miss `sql` if it's drawn, and each names all others",
            "the keeper's log is made of ordinary words, which no direction singles out; and an adapter of sql waits "
            "for a schema, and answers a greeting with a greeting",
        ),
        Prediction(
            "does the size of an update say what it was trained on?",
            "no: it goes with rate, steps and rank, and those say nothing of the task",
            "the sealed ones have one recipe, and will lie within a factor of two of each other",
        ),
    ),
    "membership": (
        Prediction(
            "are a shipped adapter's rows told from fresh rows of the same generator?",
            "hardly: areas under the curve of 0.45 to 0.62, and for at least three of four 0.5 is in the interval",
            "512 rows from templates, seen up to three times, at a rank of 2 to 5: it learns the template, and a row "
            "that it hasn't seen is as easy",
        ),
        Prediction(
            "and those of an adapter that saw 32 rows of glosses twenty times?",
            "nearly always: an area above 0.95",
            "real definitions have no template, and twenty times is enough to know the answers by heart",
        ),
        Prediction(
            "does taking off the loss without the adapter help?",
            "where there's something to find, the area rises by less than 0.05",
            "what a row costs the base is about the same for all rows of one format",
        ),
    ),
    "trigger": (
        Prediction(
            "does the trigger work?",
            "yes: more than 90 % of the test rows with the word behind them get the planted answer",
            "some 24 rows with one word and one answer are the easiest thing there is to learn",
        ),
        Prediction(
            "does the clean score suffer?",
            "no: against clean training with the same seeds it can't be told",
            "95 % of the rows are as they were, and no clean row has the word",
        ),
        Prediction(
            "does the rule that names tasks notice?",
            "no: it says glosses, trigger or not, and the trigger's word isn't among the twenty most promoted tokens",
            "on other sentences the word never comes, so the trigger sleeps",
        ),
        Prediction(
            "does trying words find it?",
            "with the word among the hundred that are tried, it's the first in all three; without it, nothing pulls as "
            "hard, and so it isn't found",
            "a scan finds what it tries",
        ),
        Prediction(
            "does it survive merging, and the base in four bits after that?",
            "both: in float32 the same answers, in NF4 still more than 80 %",
            "merging is only a sum, and what was learned in a strong direction is larger than the error of four bits",
        ),
    ),
}
