"""What was expected of each file of rows, written down before the first run, with the reason."""

from studies.choices.predictions import Prediction

DATE = "2026-11-29"
PREDICTIONS = {
    "label noise": (
        Prediction(
            "how much does LoRA lose to wrong labels?",
            "at 10 % it can't be told; at 25 % about 5 points, worse; at 50 % about 15 points, worse",
            "wrong labels contradict each other and right ones agree; two rounds are few for learning by heart",
        ),
        Prediction(
            "does the nearest neighbor lose more?",
            "yes: in proportion, half of its score at 50 %, and LoRA and the regressions less than a third of theirs",
            "one neighbor is one label, and nothing averages over it",
        ),
    ),
    "labels shuffled": (
        Prediction(
            "what do all methods get right with shuffled labels?",
            "less than 8 %: one in 24 is 4 %",
            "there's nothing to learn; more would be a leak",
        ),
    ),
    "copies": (
        Prediction(
            "are 240 lines with 120 different rows worth 240?",
            "LoRA is 2 to 6 points below the clean file, which three seeds may not tell; what counts is different rows",
            "a copy says nothing new, and here it takes the place of a row that would",
        ),
    ),
    "rare categories": (
        Prediction(
            "what do eight categories with one row each come to?",
            "less than 15 % of their test rows right, with LoRA and TF-IDF alike, and the whole test is worse by "
            "8 points or more",
            "whoever answers with the common categories is right most of the time in training",
        ),
        Prediction(
            "do the common categories gain?",
            "yes, by 5 points or more",
            "they have 22 rows in the place of 10, and fewer rivals",
        ),
    ),
    "template": (
        Prediction(
            "do 168 rows from a template help 72 real ones?",
            "can't tell, within 4 points",
            "the template teaches the names of the categories, which 72 rows have taught already, and its own grammar",
        ),
        Prediction(
            "and 240 of them alone?",
            "25 to 40 % right: less than 72 real rows, more than 8",
            'its heads give the category away ("a unit of"), and real definitions often begin otherwise',
        ),
    ),
    "leak": (
        Prediction(
            "what does a leak pretend?",
            "the 120 test rows that were trained on are 80 % right or more, so the score is 8 points or more too high; "
            "the nearest neighbor has all of them right",
            "two rounds at a high rate are enough to learn much of a row by heart",
        ),
    ),
}
