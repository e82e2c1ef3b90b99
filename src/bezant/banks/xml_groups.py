"""An XML file as the groups of fields that a reader asks for, one after another, in bounded memory.

Built on expat, which comes with Python and hands over one tag at a time: no tree is ever held, document type
declarations (and with them entities and external references) are refused where they begin, and lines are known.
"""

from collections.abc import Callable, Iterable, Iterator
from typing import Final
from xml.parsers import expat

import msgspec

from bezant.banks.pieces import checked
from bezant.base.file_faults import FileRefused

DEPTH_MAX: Final = 64
TEXT_CHARACTERS_MAX: Final = 10_000
VALUES_MAX: Final = 1_000
TAG_BYTES_MAX: Final = 1024 * 1024

_FEED_BYTES: Final = 16 * 1024
_ENCODINGS: Final = {"UTF-8", "UTF-16", "UTF-16LE", "UTF-16BE", "ISO-8859-1", "US-ASCII"}

Fields = dict[str, list[str]]
"""The texts of a group's elements by the name that the schema gives them; attributes as `name@attribute`."""


class Node(msgspec.Struct):
    """An element that is of interest. `field`: what its text is kept as. `group`: a group of fields begins in it."""

    children: dict[str, "Node"] = {}
    field: str | None = None
    attribute: str | None = None
    group: str | None = None


class Began(msgspec.Struct, frozen=True):
    """A group begins. `outer`: what is known so far of the group around it."""

    group: str
    line: int
    outer: Fields


class Ended(msgspec.Struct, frozen=True):
    """A group is complete. `line`: where it began."""

    group: str
    line: int
    fields: Fields


def read_groups(pieces: Iterable[bytes], root_of: Callable[[str], Node | None]) -> Iterator[Began | Ended]:
    """The groups of a file. `root_of` says what to look for in an element by its name, with its namespace before it.

    Raises `FileRefused` for all that is no well-formed XML, is encoded otherwise than in UTF-8, UTF-16, ISO 8859-1 or
    ASCII, or goes beyond the bounds of this module.
    """
    collector = _Collector(root_of)
    parser = collector.parser
    fed = 0
    try:
        for piece in checked(pieces):
            for start in range(0, len(piece), _FEED_BYTES):
                part = piece[start : start + _FEED_BYTES]
                parser.Parse(part, False)
                fed += len(part)
                if fed - max(parser.CurrentByteIndex, 0) > TAG_BYTES_MAX:
                    raise FileRefused("a tag or a comment of more than 1 MiB", line=parser.CurrentLineNumber)
                yield from collector.taken()
        parser.Parse(b"", True)
        yield from collector.taken()
    except expat.ExpatError as fault:
        yield from collector.taken()
        reason = expat.ErrorString(fault.code)
        where = "is truncated" if fault.code in _TRUNCATED else "is no well-formed XML"
        raise FileRefused(f"the file {where}: {reason}", line=fault.lineno) from None


_TRUNCATED: Final = {
    expat.errors.codes[text]
    for text in (
        expat.errors.XML_ERROR_NO_ELEMENTS,
        expat.errors.XML_ERROR_UNCLOSED_TOKEN,
        expat.errors.XML_ERROR_PARTIAL_CHAR,
        expat.errors.XML_ERROR_UNCLOSED_CDATA_SECTION,
    )
}


class _Collector:
    """Follows the tags. `node` is None outside of any root; `skipped` counts the open tags of no interest."""

    def __init__(self, root_of: Callable[[str], Node | None]) -> None:
        self.parser = parser = expat.ParserCreate(namespace_separator=" ")
        parser.buffer_text = True
        parser.StartElementHandler = self.start
        parser.EndElementHandler = self.end
        parser.CharacterDataHandler = self.characters
        parser.StartDoctypeDeclHandler = self.doctype
        parser.XmlDeclHandler = self.declaration
        self.root_of = root_of
        self.node: Node | None = None
        self.around: list[Node | None] = []
        self.skipped = 0
        self.texts: list[str] = []
        self.text_characters = 0
        self.fields: Fields = {}
        self.groups: list[tuple[Fields, int]] = []
        self.found: list[Began | Ended] = []

    def taken(self) -> list[Began | Ended]:
        found, self.found = self.found, []
        return found

    def start(self, name: str, attributes: dict[str, str]) -> None:
        if self.skipped:
            self.skipped += 1
            if self.skipped > DEPTH_MAX:
                self.too_deep()
            return
        parent = self.node
        node = self.root_of(name) if parent is None else parent.children.get(name)
        if node is None and parent is not None:
            self.skipped = 1
            return
        self.around.append(parent)
        if len(self.around) > DEPTH_MAX:
            self.too_deep()
        self.node = node
        if node is None:
            return
        if node.group is not None:
            line = self.parser.CurrentLineNumber
            self.found.append(Began(node.group, line, self.fields))
            self.groups.append((self.fields, line))
            self.fields = {}
        if node.field is not None:
            self.texts = []
            self.text_characters = 0
            if node.attribute is not None and (value := attributes.get(node.attribute)) is not None:
                self.keep(f"{node.field}@{node.attribute}", value)

    def end(self, _name: str) -> None:
        if self.skipped:
            self.skipped -= 1
            return
        node = self.node
        self.node = self.around.pop()
        if node is None:
            return
        if node.field is not None:
            if text := "".join(self.texts).strip():
                self.keep(node.field, text)
            self.texts = []
        if node.group is not None:
            outer, line = self.groups.pop()
            self.found.append(Ended(node.group, line, self.fields))
            self.fields = outer

    def characters(self, text: str) -> None:
        node = self.node
        if self.skipped or node is None or node.field is None:
            return
        self.texts.append(text)
        self.text_characters += len(text)
        if self.text_characters > TEXT_CHARACTERS_MAX:
            raise FileRefused(
                f"a text of more than {TEXT_CHARACTERS_MAX} characters",
                line=self.parser.CurrentLineNumber,
                field=node.field,
            )

    def keep(self, field: str, value: str) -> None:
        values = self.fields.setdefault(field, [])
        if len(values) < VALUES_MAX:
            values.append(value[:TEXT_CHARACTERS_MAX])

    def doctype(self, *_: object) -> None:
        raise FileRefused(
            "a document type declaration: statements have none, and entities are not read",
            line=self.parser.CurrentLineNumber,
            field="DOCTYPE",
        )

    def declaration(self, _version: str, encoding: str | None, _standalone: int) -> None:
        if encoding is not None and encoding.upper() not in _ENCODINGS:
            raise FileRefused(
                f"the file is encoded in {encoding[:40]}: send it as UTF-8, UTF-16 or ISO 8859-1",
                line=1,
                field="encoding",
            )

    def too_deep(self) -> None:
        raise FileRefused(f"elements nested more than {DEPTH_MAX} deep", line=self.parser.CurrentLineNumber)
