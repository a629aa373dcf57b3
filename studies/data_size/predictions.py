"""What was expected of more rows, written down before the first run, with the reason."""

from studies.choices.predictions import Prediction

DATE = "2026-11-29"
PREDICTIONS = {
    "rates": (
        Prediction(
            "do few rows want a lower rate?",
            "by the share of right answers, no: 24 and 240 rows take 3e-3, as all rows do, or can't be told from it",
            "the loss would want less, since it pays for being too sure; the likeliest answer stays the same",
        ),
    ),
    "glosses": (
        Prediction(
            "how many rows does LoRA need for what TF-IDF makes of all 1,344?",
            "between 72 and 240: about 10 % right with 8 rows, 22 with 24, 37 with 72, 52 with 240, 60 with 600, "
            "69 with 1,344",
            "the base knows what a fern is and only has to learn the kinds' names; TF-IDF has to have met the word",
        ),
        Prediction(
            "where does LoRA overtake TF-IDF on glosses?",
            "it's ahead at every size from 24 on, and at 8 it can't be told",
            "TF-IDF knows only words it has met, and 24 definitions have few of those in the test rows",
        ),
        Prediction(
            "and frozen features?",
            "behind or level up to 72 rows, level at 240, ahead from 600 on: the crossing is between 72 and 600",
            "a regression on 576 good numbers has little to learn; with rows enough, LoRA changes the numbers",
        ),
        Prediction(
            "how much does TF-IDF gain from twice the rows?",
            "about 7 points for each doubling from 72 on, and at 1,344 rows the curve still rises",
            "each definition brings new words; the 47 % of all rows was known before, and the way there wasn't",
        ),
    ),
    "stopping": (
        Prediction(
            "with 24 and 72 rows, does stopping at the lowest validation loss help?",
            "the lowest loss is before the last step in most runs; its score can't be told from the last one's",
            "the loss rises when wrong answers get surer, which changes no answer; 48 rows are a blurred look anyway",
        ),
    ),
    "changelog": (
        Prediction(
            "how many rows of changelog does TF-IDF need?",
            "up to 72 it isn't better than answering Library every time (58 %); with 1,200 it's at 62 %, hardly more",
            "more than half of the entries are Library, and the sections differ in few words",
        ),
    ),
}
