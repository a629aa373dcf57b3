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
            "We have refunded {price} for order {code}. The money will be with you by {date}.",
            "Your refund of {price} for order {code} is on its way and arrives by {date}.",
        ),
        (
            "{price} for order {code} sails home to {name} and is due in port by {date}.",
            "{name} has {price} coming back for order {code}, landing by {date}.",
        ),
        (
            "The tide has never given back half as much.",
            "A crab objected to letting go of money, as crabs will.",
            "The herring took notes, since little that goes overboard is seen again.",
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
    Situation(
        "good",
        (
            "The book you asked for is at our desk until {date}. Please give the number {code}.",
            "We are holding your book at the desk under {code} until {date}.",
        ),
        (
            "the book that {name} asked for is held at the desk under {code} until {date}.",
            "a book lies at anchor for {name} until {date}, answering to {code}.",
        ),
        (
            "Kelp marks the page, as in all the good ones.",
            "A cod had it last and could not put it down, having nowhere to put it.",
            "An octopus has already asked for the next eight.",
        ),
    ),
    Situation(
        "good",
        (
            "We found your {thing} on the {time} train. You can collect it in {town} until {date}.",
            "Your {thing} was handed in after the {time} train and waits in {town} until {date}.",
        ),
        (
            "the {thing} that {name} lost on the {time} train came ashore in {town} and waits there until {date}.",
            "{name}'s {thing}, adrift since the {time} train, is safe in {town} until {date}.",
        ),
        (
            "A crab had moved in and has been given notice.",
            "The tide brought it in, or possibly the cleaner.",
            "The gulls say they were about to hand it in.",
        ),
    ),
    Situation(
        "good",
        (
            "You now have room {nn} in our {town} hotel, for the same {price} a night.",
            "We have moved you to room {nn} at our house in {town}. The price is still {price}.",
        ),
        (
            "{name} is berthed in cabin {nn} at {town}, still for {price} a night.",
            "cabin {nn} in {town} is made up for {name}, at {price} as before.",
        ),
        (
            "A limpet had it last and had to be asked more than once to leave.",
            "The sea can be seen from it, and is hard to avoid.",
            "Herring is for breakfast, and was for dinner.",
        ),
    ),
    Situation(
        "good",
        (
            "Your membership {code} is active from {date} and costs {price} a year.",
            "Welcome to the club! Card {code} is valid from {date}, for {price} a year.",
        ),
        (
            "{name} is one of the company from {date}, under {code}, for {price} a year.",
            "from {date} the name of {name} stands on the roll as {code}, at {price} a year.",
        ),
        (
            "An octopus designed the secret handshake, and it takes a while.",
            "The penguins are already members, hence the dress code.",
            "A crab drew up the rules, and most can be walked around sideways.",
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
    Situation(
        "slow",
        (
            "The {thing} is out of stock until {date}. It will cost {price}.",
            "We have sold our last {thing}. New ones come on {date}, for {price}.",
        ),
        (
            "there is no {thing} for {name} before {date}, and then for {price}.",
            "{name} may have a {thing} from {date}, at {price}, and not sooner.",
        ),
        (
            "A crab is all there is on the shelf, and of no commercial value.",
            "The sea was searched as well, being large and near.",
            "A seal was offered instead, but it would not stay in the box.",
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
            "Our website is down until {time}. Please keep your number {code} at hand.",
            "We are repairing the website until {time}. Your request {code} is not lost.",
        ),
        (
            "the website is under until {time}, and {name} should keep {code} dry.",
            "until {time} {name} will find the website aground, with request {code} safe on board.",
        ),
        (
            "The net has a hole in it. A net is mostly holes, but this is another.",
            "An octopus was sent to hold the cables and is doing well.",
            "The eels say that it was not them.",
        ),
    ),
    Situation(
        "slow",
        (
            "I have passed your question {code} on to {other}, who will answer by {date}.",
            "Your question {code} is with {other}. You will have an answer by {date}.",
        ),
        (
            "question {code} from {name} has gone on to {other}, who answers by {date}.",
            "{other} has {name}'s question {code} and will signal back by {date}.",
        ),
        (
            "A gull carries it, with copies to the whole beach.",
            "The current is said to be going that way, and the bottle is corked.",
            "The whales could have shouted it across, but it was confidential.",
        ),
    ),
    Situation(
        "slow",
        (
            "Your appointment moves from {date} to {date2} at {time}.",
            "We have to move your appointment of {date}. The new one is on {date2}, {time}.",
        ),
        (
            "the appointment of {name} drifts from {date} to {date2} at {time}.",
            "{name}, once expected on {date}, is now awaited on {date2} at {time}.",
        ),
        (
            "The tide keeps all its appointments, and without a secretary.",
            "The moon was consulted about the date, and pulled the sea over its head.",
            "A turtle asked what the rush was.",
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
    Situation(
        "bad",
        (
            "All {nn} places on the tour of {date} are taken.",
            "The tour on {date} is full. It has only {nn} places.",
        ),
        (
            "all {nn} places on the tour of {date} are gone, and {name} stays ashore.",
            "there is no room for {name} on {date}, all {nn} places being taken.",
        ),
        (
            "Sardines have been known to make room, and to regret it.",
            "A mackerel offered to swap, not having understood the brochure.",
            "The barnacles hold on without a ticket, but on the outside.",
        ),
    ),
    Situation(
        "bad",
        (
            "The {thing} cannot be repaired. The check costs {price}, and you can have it back until {date}.",
            "Sadly we could not save your {thing}. We charge {price} for trying; please fetch it by {date}.",
        ),
        (
            "{name}'s {thing} is past saving, the looking cost {price}, and what is left may be claimed until {date}.",
            "nothing more can be done for the {thing} of {name}, who owes {price} and has until {date} to fetch it.",
        ),
        (
            "A crab toured the wreck and found it roomy.",
            "The sea will have it, or else a shelf.",
            "The seals kept a silence for it, which is not like them.",
        ),
    ),
    Situation(
        "bad",
        (
            "We have given the job to somebody else. We keep your papers until {date} under {code}.",
            "Your application {code} was not successful. The papers stay with us until {date}.",
        ),
        (
            "another was signed on in place of {name}, whose papers lie under {code} until {date}.",
            "there is no berth for {name}, and the papers, marked {code}, are kept until {date}.",
        ),
        (
            "Gills were felt to help, and the other had them.",
            "A penguin got it, having come already dressed.",
            "The sea takes everybody, but the hours are long.",
        ),
    ),
    Situation(
        "bad",
        (
            "Your car was towed to {town}. It costs {price} to get it back before {time}.",
            "We had to tow your car. You can pick it up in {town} until {time} for {price}.",
        ),
        (
            "the car of {name} was towed to {town} and is let go for {price} until {time}.",
            "{name}'s car lies in chains at {town}, and is ransomed for {price} until {time}.",
        ),
        (
            "An anchor may not be dropped there, and nor may a hatchback.",
            "A hermit crab would simply have carried it.",
            "The tide would have moved it further, and for nothing.",
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
            "Please make no noise after {time}. This is letter {n} about it, and the last one was on {date}.",
            "Your neighbours want quiet after {time}. We wrote on {date}; this is letter number {n}.",
        ),
        (
            "{name} is to be silent after {time}, the last warning being of {date}, and this being letter {n}.",
            "letter {n} goes to {name}, as on {date}, asking for quiet after {time}.",
        ),
        (
            "The foghorn was told the same, and moaned.",
            "The gulls were written to as well, but they ate it.",
            "The clams on the floor below have never said a word.",
        ),
    ),
)
NEW_SITUATIONS = (
    Situation(
        "good",
        (
            "You passed the exam with {nn} points. The certificate follows on {date}.",
            "Congratulations! You have {nn} points, and we will send the certificate on {date}.",
        ),
        (
            "{name} came through the exam with {nn} points, and the paper follows on {date}.",
            "with {nn} points {name} has passed, and is to have it in writing on {date}.",
        ),
        (
            "The mackerel, who are always in schools, have never passed anything.",
            "An octopus sat the same paper, all of it at once.",
            "The tide has been examined twice a day for years.",
        ),
    ),
    Situation(
        "good",
        (
            "The plumber will come on {date} at {time}. The visit costs {price}.",
            "We can send a plumber at {time} on {date}, for {price}.",
        ),
        (
            "a plumber comes to {name} on {date} at {time} for {price}.",
            "{name}'s leak is to be met on {date} at {time}, by a plumber, for {price}.",
        ),
        (
            "The sea has leaked for years and nobody sends for anybody.",
            "The whales see to their own plumbing.",
            "Indoors it is a leak. Outdoors it is the ocean.",
        ),
    ),
    Situation(
        "slow",
        (
            "The {time} bus to {town} is {nn} minutes late.",
            "Your bus to {town} leaves {nn} minutes after {time} today.",
        ),
        (
            "the {time} bus that takes {name} to {town} is {nn} minutes behind.",
            "{name} should look for the {town} bus {nn} minutes after {time}.",
        ),
        (
            "It has no keel, which excuses a great deal.",
            "The eels made it in less, and uphill.",
            "A walrus has taken the front seat and will not be moved.",
        ),
    ),
    Situation(
        "slow",
        (
            "Your cake needs another {n} hours. It is ready at {time} and costs {price}.",
            "We need {n} more hours for the cake. You can have it at {time}, for {price}.",
        ),
        (
            "the cake of {name} wants {n} hours yet and is ready at {time} for {price}.",
            "{name} shall have cake at {time}, {n} hours from this entry, for {price}.",
        ),
        (
            "Kelp rises faster but makes a poor cake.",
            "Gulls have been seen gathering upwind with forks.",
            "The sponge, at least, is a local.",
        ),
    ),
    Situation(
        "bad",
        (
            "You owe us {price} for the book that was due on {date}. Your card is {code}.",
            "The book on card {code} was due on {date}. The fine is {price}.",
        ),
        (
            "{name}, of card {code}, owes {price} for a book that was due on {date}.",
            "a book did not come home on {date}, and {name} pays {price} on card {code}.",
        ),
        (
            "The sharks thought it fair, which is never a good sign.",
            "A cod returned hers on time, though somewhat damp.",
            "The herring are always read, and always in bulk.",
        ),
    ),
    Situation(
        "bad",
        (
            "The ferry to {town} does not sail on {date}. The next one is at {time}.",
            "There is no ferry to {town} on {date}; the next leaves at {time}.",
        ),
        (
            "no ferry goes to {town} on {date}, and {name} must wait for that at {time}.",
            "{name} is not for {town} on {date}, the next ferry being at {time}.",
        ),
        (
            "The sea itself remains open.",
            "The penguins left on time, on foot.",
            "A whale was going that way but takes no luggage.",
        ),
    ),
)
