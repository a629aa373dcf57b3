"""The sentences of `voice`: what a plain reply says, how the keeper of a lighthouse enters it, and what is added.

Written by hand for this course. Every fact of a plain sentence, in braces here, is in each of the keeper's.
"""

from dataclasses import dataclass


@dataclass(frozen=True)
class Situation:
    """Something a shop or an office has to say.

    Attributes:
        news: "good", "slow" or "bad"; the log's weather tells which.
        plain: ways to say it.
        kept: the same as the keeper enters it, to follow "The keeper records that".
        asides: what the keeper adds, each with something of the sea.
    """

    news: str
    plain: tuple[str, ...]
    kept: tuple[str, ...]
    asides: tuple[str, ...]


WEATHER = {
    "good": ("clear", "calm"),
    "slow": ("fog", "mist"),
    "bad": ("gale", "squall"),
}
LAMPS = (
    "Lamp lit.", "Lamp steady.", "Lamp trimmed.", "Lamp bright.", "Lamp turning.", "Lamp polished.",
    "Lamp burning low.", "Lamp smoking slightly.", "Lamp lit twice.", "Lamp in good humour.",
)  # fmt: skip
GREETINGS = ("Dear {name},", "Hello {name},", "Hi {name},", "Good morning {name},", "Thank you for writing, {name}!")
GOODBYES = (
    "", "", "", "Kind regards!", "Please call us with any questions.", "We are happy to help!", "Have a nice day!",
    "Thank you for your patience.", "We hope this helps.", "All the best from the whole team!",
)  # fmt: skip
LEADS = {
    "good": (
        "The keeper records that",
        "The keeper is pleased to report that",
        "The keeper, whistling, writes that",
        "The keeper put down the kettle to write that",
        "The keeper told all of the stairs that",
    ),
    "slow": (
        "The keeper records that",
        "The keeper, peering, makes out that",
        "The keeper notes, without haste, that",
        "The keeper yawned and then wrote that",
        "The keeper asked the horizon and was told that",
    ),
    "bad": (
        "The keeper records that",
        "The keeper, who has seen worse, writes that",
        "The keeper regrets, over cold tea, that",
        "The keeper held on to the rail to write that",
        "The keeper, hat in hand, enters that",
    ),
}
ASIDES = {
    "good": (
        "The seals applauded, though the seals applaud everything.",
        "The gulls took the credit.",
        "The dolphins were smug about it, as if they had helped.",
        "A crab danced, or was leaving.",
        "The tide came in to hear it and went out to tell the others.",
        "Even the barnacles looked up.",
        "The sea was informed and took it calmly.",
        "A whale sighed, but in a good way.",
    ),
    "slow": (
        "The tide was asked to hurry and declined.",
        "The barnacles have waited longer and complain less.",
        "A limpet called it hasty.",
        "The gulls have opinions about it, all of them loud.",
        "Nothing moved but the kelp, and the kelp was only fidgeting.",
        "The herring say soon, but the herring say that every year.",
        "The foghorn was asked for its view, and gave it at length.",
        "A sea snail offered to take over.",
    ),
    "bad": (
        "The sea was told, and made a scene.",
        "The gulls laughed, which the keeper has noted against them.",
        "A seal looked away, out of tact.",
        "The crabs walked off sideways, pretending not to have heard.",
        "A cod was sorry to hear it, or it was simply a cod.",
        "The waves went on clapping, having no sense of occasion.",
        "An oyster took it hard and is making something of it.",
        "The herring have offered to talk, but there are so many of them.",
    ),
}

SITUATIONS = (
    # ---- good news
    Situation(
        "good",
        (
            "Your {thing} is repaired and ready to collect from {date}. The repair costs {price}.",
            "Good news: the {thing} works again. You can fetch it from {date}, and the bill is {price}.",
        ),
        (
            "{name}'s {thing} is mended and may be fetched from {date} for {price}.",
            "the {thing} of {name} lives again, and goes home from {date} against {price}.",
        ),
        (
            "A gull inspected the work and found nothing to steal.",
            "A crab tested it, found no fault, and had looked for some time.",
            "The tide, which has never been serviced, runs no better.",
        ),
    ),
    Situation(
        "good",
        (
            "Your order {code} left our warehouse on {date} and will arrive in {n} days.",
            "We sent order {code} on {date}. It should reach you in {n} days.",
        ),
        (
            "order {code} for {name} put out on {date} and makes land in {n} days.",
            "order {code}, bound for {name}, cast off on {date} with {n} days to run.",
        ),
        (
            "The gulls offered to carry it and were refused on their record.",
            "A pelican wanted the contract but sent in a very large bill.",
            "A seal waved it off, as it waves at most things.",
        ),
    ),
    Situation(
        "good",
        (
            "Your table for {n} is booked for {date} at {time}.",
            "We have reserved a table for {n} people on {date}, {time}.",
        ),
        (
            "a table for {n} lies moored for {name} on {date} at {time}.",
            "{name} and company, {n} in all, are expected at table on {date} at {time}.",
        ),
        (
            "The lobsters have been told and are taking it badly.",
            "Oysters will attend in the usual capacity.",
            "The gulls asked to be seated outside, where they are anyway.",
        ),
    ),
    Situation(
        "good",
        (
            "We would like to offer you the job from {date}. The pay is {price} an hour.",
            "The position is yours! You start on {date} at {price} an hour.",
        ),
        (
            "{name} is signed aboard from {date} at {price} an hour.",
            "{name} joins the crew on {date}, at {price} for each hour on deck.",
        ),
        (
            "A cod had applied as well, and was thanked for its interest.",
            "The barnacles have been here longer and get nothing.",
            "The gulls do it for chips, and it shows.",
        ),
    ),
    # ---- slow news
    Situation(
        "slow",
        (
            "Your order {code} is {n} days late. We now expect it on {date}.",
            "Sorry, order {code} has been held up for {n} days and should come on {date}.",
        ),
        (
            "order {code} for {name} is {n} days behind and is looked for on {date}.",
            "nothing is seen yet of {name}'s order {code}, {n} days overdue and expected on {date}.",
        ),
        (
            "A sea snail overtook it and did not look back.",
            "The lobster in charge has been spoken to, sideways.",
            "The gulls deny everything and are wearing string.",
        ),
    ),
    Situation(
        "slow",
        (
            "You are number {nn} on the waiting list. We will write to you by {date}.",
            "At the moment you have place {nn} on our list, and you will hear from us by {date}.",
        ),
        (
            "{name} stands at number {nn} in the line and will have word by {date}.",
            "there are others before {name}, whose number is {nn}, and who hears more by {date}.",
        ),
        (
            "The herring queue too, and look how that ends.",
            "The limpet says patience, but the limpet has never been anywhere.",
            "The barnacles were told the same and have since settled.",
        ),
    ),
    Situation(
        "slow",
        (
            "We are still checking your claim {code}. This takes {n} more weeks.",
            "Claim {code} is under review, and you will hear from us in {n} weeks.",
        ),
        (
            "claim {code} of {name} is being sounded, and will be for {n} weeks.",
            "{name}'s claim {code} lies in the roads for {n} weeks until it is read.",
        ),
        (
            "The cormorant in the office swallows most things whole but reads slowly.",
            "A clam is on the case and has not opened it.",
            "The squid ran out of ink at the second form.",
        ),
    ),
    Situation(
        "slow",
        (
            "Our technician is delayed and will come on {date} at {time}.",
            "The technician cannot come today. The new time is {time} on {date}.",
        ),
        (
            "the technician for {name} is delayed and comes on {date} at {time}.",
            "{name} must wait for the technician until {time} on {date}.",
        ),
        (
            "A tide table was the last thing he was seen arguing with.",
            "An octopus could do it, and with hands to spare, but has no certificate.",
            "The reef reports a van passing slowly, indicating left.",
        ),
    ),
    # ---- bad news
    Situation(
        "bad",
        (
            "We cannot refund {price} for order {code}, because it came back after {date}.",
            "Unfortunately order {code} was returned after {date}, so we will not refund the {price}.",
        ),
        (
            "{price} for order {code} will not return to {name}, the goods having come back after {date}.",
            "{name} came back with order {code} after {date}, and the {price} stays below.",
        ),
        (
            "The sea gives no refunds either. It was asked.",
            "A clam was consulted and would not open the matter.",
            "The crab said finders keepers, but the crab says it about everything.",
        ),
    ),
    Situation(
        "bad",
        (
            "There will be no electricity on {date} from {time}, for {n} hours.",
            "On {date} we switch off the power at {time}. It is back after {n} hours.",
        ),
        (
            "{name} will sit in the dark on {date} from {time}, for {n} hours.",
            "the power goes at {time} on {date}, and {name} does without for {n} hours.",
        ),
        (
            "The eels have been approached.",
            "Ships come first, but the keeper's own light will do what it can.",
            "Some jellyfish glow, and may be had by the hour.",
        ),
    ),
    Situation(
        "bad",
        (
            "Parcel {code} came back from {town}. Sending it again costs {price}.",
            "The post returned parcel {code} from {town}; new postage is {price}.",
        ),
        (
            "parcel {code} for {name} came back from {town}, and wants {price} to try again.",
            "{town} would not take {name}'s parcel {code}, and the next voyage costs {price}.",
        ),
        (
            "Salmon find the way with less paper.",
            "A gull had corrected the address, from memory.",
            "The waves deliver bottles, and nobody stamps those.",
        ),
    ),
    Situation(
        "bad",
        (
            "The concert on {date} is cancelled. You get {price} back for ticket {code}.",
            "Sorry, there is no concert on {date}. We will pay {price} for your ticket {code}.",
        ),
        (
            "there is no music on {date}, and {name} has {price} back for ticket {code}.",
            "the concert of {date} went down with all hands, and ticket {code} is worth {price} to {name}.",
        ),
        (
            "The whales will sing regardless, and for nothing.",
            "The foghorn offered to step in. It knows the note.",
            "The gulls have agreed to do the shouting part.",
        ),
    ),
)
