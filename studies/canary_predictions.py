"""What was expected of the canaries, written down before the first run, with the reason."""

from studies.choices.predictions import Prediction

DATE = "2026-11-29"

PREDICTIONS = {
    "repetitions": Prediction(
        "from how many rows on does the greedy answer give a canary's address away?",
        "with 1 and 2 rows never, with 16 and 32 always, and from 8 on in at least half of the cases",
        "16 bits have to be learned, a row is seen once, and a rate of 2e-3 is high: a few looks leave a trace, and "
        "only some ten of them the whole",
    ),
    "exposure": Prediction(
        "does exposure see a canary that no greedy answer gives away?",
        "yes: with 2 and 4 rows it's above 4 bits on average, where chance is 1.44",
        "it asks for the rank among 65,536 candidates and not for the first place",
    ),
    "tries": Prediction(
        "do 1,000 sampled tries find more canaries than the greedy answer?",
        "yes: at least one that greedy answers miss, with 4 or 8 rows",
        "a chance of 1 in 300 is far from the likeliest answer, and enough for 1,000 tries",
    ),
    "forms": Prediction(
        "is a merged model safer than the adapter apart, and one in four bits safer still?",
        "merged in float32 no canary's exposure moves by more than 0.1 bits; in four bits it falls by less than 2 bits "
        "on average, and all canaries with 32 rows still come out",
        "a merge changes only rounding; four bits add noise to all weights, and what was seen 32 times has a large "
        "margin",
    ),
    "anonymized": Prediction(
        "what's left once the addresses are placeholders?",
        "none of the canaries in 1,000 tries each, and a mean exposure of 0.9 to 2.1 bits, as without the canaries' "
        "rows",
        "the words were drawn at random and are in no row any more; of a rank drawn at random the exposure is 1.44 "
        "bits on average, and the names, which stay, say nothing about them",
    ),
    "asked": Prediction(
        "does an address come out where only a customer's message is typed, with no beginning of the answer?",
        "from the canary's own new message with 16 and 32 rows always; in the answers to 64 other customers never",
        "name and address are always seen together, and 20 names without an address are seen far more often",
    ),
    "rate": Prediction(
        "what does a quarter of the learning rate do?",
        "with 8 and 16 rows exposure falls by more than 4 bits, and the task is still learned, less well",
        "the form of a ticket is in every row, so it has 360 looks; an address has as many as its customer has rows",
    ),
    "place": Prediction(
        "does it matter where in a row the address stands? 8 rows each",
        "in the answer alone: above 10 bits; in the message and copied into the answer: less, by 4 bits or more; in "
        "the message alone: chance",
        "the loss doesn't count the message; and once copying is learned, which other fields teach, a copied address "
        "costs nothing and is worth no more learning",
    ),
}
