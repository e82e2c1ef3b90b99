"""What merchants, PSPs and files wrote reaches an operator's terminal as text and as nothing else."""

from io import StringIO
from pathlib import Path

import pytest
from rich.console import Console

from bezant import commands
from bezant.commands.texts import one_line, plain, safe


@pytest.mark.parametrize("text", ["\x1b[31mred", "\x07", "a\rb", "\x9b2J", "over\u202eride", "\x00", "\x08", "\ud800"])
def test_what_a_terminal_would_act_on_is_shown_as_such(text: str) -> None:
    for shown in (plain(text), one_line(text), safe(text)):
        assert "\N{REPLACEMENT CHARACTER}" in shown
        assert shown.isprintable()


def test_what_is_only_text_stays_as_it_is() -> None:
    assert plain("Löwe 🦁 [bold]\n\tline") == "Löwe 🦁 [bold]\n\tline"
    assert one_line("a\nb") == "a b"


def test_markup_is_no_markup() -> None:
    out = StringIO()
    Console(file=out).print(safe("[red]a[/] [link=http://x]b"))
    assert out.getvalue() == "[red]a[/] [link=http://x]b\n"


def test_every_command_shows_texts_of_others_this_way() -> None:
    for file in Path(commands.__file__).parent.glob("*.py"):
        for line in file.read_text().splitlines():
            if "escape(" in line and file.name != "texts.py":
                assert "escape(one_line(" in line or "escape(_stands(" in line, (file.name, line)
