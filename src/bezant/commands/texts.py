"""What others wrote, on an operator's terminal: merchants, PSPs, banks, files. Nothing in it is acted on."""

from typing import Final

from rich.markup import escape

_KEPT: Final = "\n\t"


def plain(text: str) -> str:
    """A text without what a terminal would act on."""
    if text.isprintable():
        return text
    return "".join(
        character if character.isprintable() or character in _KEPT else "\N{REPLACEMENT CHARACTER}"
        for character in text
    )


def one_line(text: str) -> str:
    """The same where a line break would let it pass for more than one thing."""
    return plain(text).replace("\n", " ").replace("\t", " ")


def safe(text: str) -> str:
    """The same for a console that takes markup."""
    return escape(plain(text))
