"""The rules of the project's prose: words to avoid, and the longest sentence."""

import re
from collections.abc import Iterator
from typing import NamedTuple

from .extract import Paragraph


class Finding(NamedTuple):
    line: int
    what: str
    advice: str


LONGEST_SENTENCE = {"comment": 28, "docstring": 25, "message": 25, "Markdown": 28}

# Words and phrases by the advice to the writer. Upper and lower case are the same, except in `(?-i:...)`.
WORDS = {
    "name the subject: the caller, the library, the server, the user": r"who(?:so)?ever|whom|nobody|somebody|(?-i:Who)",
    "name the thing: 'the X that ...'": r"the ones? (?:that|who)|those who|that which",
    "name the thing": r"(?-i:What) (?:only|isn't|wasn't|was|has|doesn't|can't|of it)",
    "say in which cases, or which": r"whatever",
    "use report, return, show or notify": r"tells?|told|telling",
    "use 'again'": r"anew",
    "name the time: 'during the call', 'until then'": r"meanwhile|by then",
    "use 'permanently' or 'without a retry'": r"for good",
    "use 'is sent' or 'ends'": r"go(?:es)? out|went out|going out",
    "use 'continues' or 'resumes'": r"go(?:es)? on|went on|going on",
    "use 'is', 'means' or 'stops'": r"stands?(?! (?:still|for))",
    "use 'return'": r"giv(?:e|es|en|ing) back|gave back",
    "use 'read', 'check' or 'examine'": r"look(?:s|ed|ing)? (?:at|after|upon)",
    "use 'receive', 'accept' or 'remove'": r"tak(?:e|es|en|ing) (?:in|away|out)|took (?:in|away|out)",
    "use 'arrive', 'return' or 'fail'": r"com(?:e|es|ing) (?:back|out|in|to nothing)|came (?:back|out|in)",
    "use 'forward' or 'pass'": r"hand(?:s|ed|ing)? on",
    "use 'receives' or 'knows'": r"hears? of|heard of|knows? of|knew of",
    "use 'must'": r"(?:is|are) to be",
    "use 'concern'": r"to do with",
    "use 'without a message' or name the effect": r"without a word",
    "repeat the noun": r"(?:there|where|here)(?:of|in|upon|after)",
    "use the field's term": r"farewell|vault|inbox",
    "omit it": r"simply|obviously|of course|needless to say",
    "use 'use'": r"utili[sz]e[sd]?|leverag(?:e|es|ing)",
    "use 'to'": r"in order to",
}
_WORDS = {
    advice: re.compile(rf"\b(?:{words})\b".replace(" ", r"\s+"), re.IGNORECASE) for advice, words in WORDS.items()
}
_SENTENCE_END = re.compile(r"(?<=[.!?;:])[*_)\"']*(?=\s)|\x00|[ \t]{3,}|\|")


def findings(paragraph: Paragraph) -> Iterator[Finding]:
    text = paragraph.text
    for advice, words in _WORDS.items():
        for found in words.finditer(text):
            yield Finding(_line(paragraph, found.start()), " ".join(found[0].split()), advice)
    longest, start = LONGEST_SENTENCE[paragraph.group], 0
    for end in [*(found.start() for found in _SENTENCE_END.finditer(text)), len(text)]:
        sentence = text[start:end]
        count = len(re.findall(r"\S*[A-Za-z]\S*", sentence))
        if count > longest:
            begin = start + len(sentence) - len(sentence.lstrip())
            yield Finding(_line(paragraph, begin), f"{count} words", f"split the sentence, which may have {longest}")
        start = end


def _line(paragraph: Paragraph, position: int) -> int:
    return paragraph.line + paragraph.text.count("\n", 0, position)
