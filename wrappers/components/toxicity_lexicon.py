"""The words and phrases that `ToxicityPenalty` looks for, by severity. Content warning: this is a list of abuse.

A severity is how sure one occurrence alone makes us that a text is toxic, in (0, 1]. The list is small on purpose: a
word belongs here if it is abuse in most of its uses: names of body parts and of variables (`cum`) do not. Words with an
innocent meaning of their own (a rooster, a gap in the armour) have a low severity, so that one occurrence is never
enough, and `INNOCENT` names the usual ways to mean it, which count for nothing. English only.
"""

from collections.abc import Iterator

SLUR, THREAT, ABUSE, OBSCENE, COARSE, MILD = 0.95, 0.95, 0.7, 0.5, 0.3, 0.1

STEMS: dict[float, str] = {
    SLUR: """
        nigger+s nigga+s+z niggaz faggot+s+ry fag+s kike+s wetback+s raghead+s towelhead+s sandnigger+s
        gook+s spic+s beaner+s tranny trannies shemale+s retard+s+ed libtard+s
        subhuman+s untermensch+en
    """,
    ABUSE: """
        cunt+s whore+s slut+s+ty motherfucker+s motherfucking cocksucker+s fuckface+s fuckhead+s fucktard+s dipshit+s
        shithead+s douchebag+s scumbag+s twat+s dumbass+es jackass+es dickhead+s kys rapist+s pedo+s
    """,
    OBSCENE: """
        fuck+s+ed+er+ers+ing+in fuk+ing fck+ing shit+s+ty+ting bullshit asshole+s arsehole+s bitch+es+y+ing bastard+s
        paki+s cumshot+s jizz dildo+s blowjob+s handjob+s wank+er+ers+ing bollocks titties
        pussy pussies horny milf+s porn gangbang+s stfu
    """,
    COARSE: """
        ass+es arse+s dick+s cock+s piss+ed+ing crap+py prick+s tosser+s moron+s+ic idiot+s+ic imbecile+s boob+s
        dyke+s chink+s coon+s tits wtf
    """,
    MILD: "damn+ed goddamn hell stupid dumb loser+s ugly jerk+s",
}

INNOCENT = """
    retarded potential|retarded potentials|retarded time|retarded times|retarded green|retarded position
    retarded solution|retarded propagator|retarded field|retarded argument|advanced and retarded|spark retard
    to retard|retard the growth|retard the rate|retard the reaction|retard the spread|spic and span|fag end
    bastard sword|pussy willow|pussy willows|moby dick|dick and jane|van dyke|maine coon|maine coons|skin prick
    pin prick|prick test|prick tests|prick testing|go die casting|jerk chicken
"""

THREATS = """
    kill yourself|kill urself|kill your self|hang yourself|hang urself|shoot yourself|slit your wrists|end your life
    i will kill you|i'll kill you|i am going to kill you|i'm going to kill you|i'm gonna kill you|gonna kill you
    i will rape you|i'll rape you|rape you|rape her|rape him|beat the shit out of you|hope you die|go die
    you should die|you deserve to die|deserve to be raped|drink bleach|burn in hell|heil hitler|sieg heil|white power
    race war|gas chamber for
"""

INSULTS = """
    you idiot|you moron|you loser|you are an idiot|you're an idiot|you are a moron|you're a moron|you are stupid
    you're stupid|you are dumb|you're dumb|you are worthless|you're worthless|you are pathetic|you're pathetic
    you are disgusting|you're disgusting|you are ugly|you're ugly|shut up|piece of shit|son of a bitch
    nobody likes you|nobody loves you|no one likes you|waste of space|waste of oxygen|shut the fuck up|fuck you|fuck off
    screw you|suck my dick|eat shit|go to hell|kiss my ass
"""

VIOLENT_VERBS = ("kill", "exterminate", "eradicate", "gas", "lynch", "hang", "enslave")
HATEFUL_VERBS = ("hate", "despise", "deport")
TARGETS = (
    "jews", "muslims", "blacks", "black people", "whites", "white people", "asians", "arabs", "mexicans", "gays",
    "gay people", "lesbians", "immigrants", "women", "christians", "hindus", "refugees", "foreigners", "gypsies",
    "trans people", "indians",
)  # fmt: skip
DEGRADATIONS = ("inferior", "vermin", "animals", "subhuman", "scum", "parasites", "filth", "disgusting", "savages")


def entries() -> Iterator[tuple[str, float]]:
    """Yield every word and phrase with its severity.

    Example:
        >>> dict(entries())["kill yourself"]
        0.95
    """
    for severity, stems in STEMS.items():
        for stem in stems.split():
            word, *endings = stem.split("+")
            yield from ((word + ending, severity) for ending in ("", *endings))
    for block, severity in ((THREATS, THREAT), (INSULTS, OBSCENE)):
        yield from ((phrase, severity) for phrase in phrases_of(block))
    for target in TARGETS:
        for verb in VIOLENT_VERBS:
            yield from ((f"{verb} {every}{target}", THREAT) for every in ("all ", "all the ", "those "))
            yield from ((f"{verb} {some}{target}", ABUSE) for some in ("", "the "))
        for verb in HATEFUL_VERBS:
            yield from ((f"{verb} {some}{target}", OBSCENE) for some in ("", "the ", "all ", "those "))
        yield from ((f"{target} are {word}", ABUSE) for word in DEGRADATIONS)


def phrases_of(block: str) -> list[str]:
    """Return the phrases of a block, which stand between bars and line ends.

    Example:
        >>> phrases_of(INNOCENT)[-2:]
        ['go die casting', 'jerk chicken']
    """
    return [phrase.strip() for line in block.strip().splitlines() for phrase in line.split("|")]
