"""Names for containers that got none: an adjective and a seafarer, explorer or scientist."""

from __future__ import annotations

import os

ADJECTIVES = (
    "able", "agile", "alert", "amber", "ample", "ardent", "balmy", "bold", "brave", "breezy",
    "bright", "brisk", "calm", "candid", "careful", "cheerful", "civil", "clear", "clever",
    "cordial", "cosy", "crisp", "curious", "dapper", "daring", "deft", "diligent", "eager", "early",
    "earnest", "easy", "fair", "faithful", "fearless", "festive", "fleet", "fluent", "fond",
    "frank", "free", "fresh", "friendly", "frosty", "gallant", "gentle", "glad", "golden",
    "graceful", "grand", "happy", "hardy", "hearty", "honest", "hopeful", "humble", "jolly",
    "jovial", "keen", "kind", "laughing", "lively", "loyal", "lucid", "lucky", "mellow", "merry",
    "mighty", "mild", "modest", "neat", "nimble", "noble", "northern", "patient", "peaceful",
    "placid", "plucky", "polite", "proud", "prudent", "quick", "quiet", "rapid", "ready", "robust",
    "salty", "serene", "sharp", "silent", "sincere", "smooth", "snug", "sober", "spirited",
    "stately", "steady", "sturdy", "sunny", "swift", "tender", "thrifty", "tidy", "tireless",
    "tranquil", "trusty", "upbeat", "valiant", "vivid", "warm", "wary", "windy", "wise", "witty",
    "zealous",
)  # fmt: skip

SURNAMES = (
    "amundsen", "anning", "baffin", "balboa", "banks", "barents", "baret", "bartolomeu", "beaufort",
    "bering", "bessel", "bingham", "blackwell", "bougainville", "brahe", "brunel", "burnell",
    "cabot", "carson", "cartier", "celsius", "cook", "cousteau", "cunitz", "dampier", "dias",
    "drake", "earle", "ekman", "elcano", "eriksson", "euler", "fitzroy", "flinders", "franklin",
    "frobisher", "gama", "gauss", "germain", "hadley", "halley", "hanno", "harrison", "henson",
    "herschel", "heyerdahl", "hopper", "hudson", "humboldt", "huygens", "hypatia", "jansson",
    "kelvin", "kepler", "knorr", "kovalevskaya", "laperouse", "leavitt", "lovelace", "magellan",
    "marsden", "maury", "mawson", "meitner", "mercator", "mitchell", "nansen", "napier", "noether",
    "nordenskiold", "nunez", "ortelius", "payne", "perkin", "piccard", "polo", "ptolemy", "pytheas",
    "raleigh", "ross", "rossby", "rubin", "scoresby", "shackleton", "slocum", "somerville",
    "stevin", "stokes", "svansson", "swan", "tasman", "thorfinn", "tilman", "torres", "tupaia",
    "turing", "vancouver", "vespucci", "wallis", "wegener", "wilkes", "willughby", "worsley", "xu",
    "zheng",
)  # fmt: skip


def generate_name(attempt: int = 0) -> str:
    """Return a random name; from the second attempt on with a digit, to leave a full house."""
    noise = int.from_bytes(os.urandom(4), "big")
    adjective = ADJECTIVES[noise % len(ADJECTIVES)]
    surname = SURNAMES[noise // len(ADJECTIVES) % len(SURNAMES)]
    return f"{adjective}_{surname}{noise % 10 if attempt else ''}"
