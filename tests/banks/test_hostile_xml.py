"""XML that is made to harm: refused where it begins, whatever follows."""

import tracemalloc
from collections.abc import Iterable, Iterator

import pytest

from bezant.banks.camt import read_camt
from bezant.banks.camt_schema import ENTRY, root_of
from bezant.banks.xml_groups import Ended, read_groups
from bezant.base.file_faults import FileRefused
from tests.banks.samples import CAMT, camt, entry, read

BOMB = b"""<?xml version="1.0"?>
<!DOCTYPE lolz [<!ENTITY lol "lol"><!ENTITY lol1 "&lol;&lol;&lol;&lol;&lol;&lol;&lol;&lol;&lol;&lol;">]>
<lolz>&lol1;</lolz>"""


@pytest.mark.parametrize(
    "declaration",
    [
        '<!DOCTYPE Document [<!ENTITY a "b">]>',
        '<!DOCTYPE Document [<!ENTITY a SYSTEM "file:///etc/passwd">]>',
        '<!DOCTYPE Document [<!ENTITY % a SYSTEM "http://127.0.0.1:1/a.dtd"> %a;]>',
        '<!DOCTYPE Document SYSTEM "http://127.0.0.1:1/a.dtd">',
        '<!DOCTYPE Document PUBLIC "a" "b">',
        "<!DOCTYPE Document>",
    ],
)
def test_a_document_type_declaration_is_refused_where_it_begins(declaration: str):
    found = read(read_camt, camt(entry(), before=f'<?xml version="1.0"?>\n{declaration}\n'))
    assert found.parts == []
    assert "a document type declaration" in found.reason
    assert found.refusal is not None
    assert (found.refusal.line, found.refusal.field) == (2, "DOCTYPE")


def test_a_bomb_of_entities_is_refused_before_any_of_it_is_expanded():
    assert "a document type declaration" in read(read_camt, BOMB, 16).reason


def test_an_entity_that_nothing_declares_is_refused():
    assert "undefined entity" in read(read_camt, CAMT.replace(b"12.34", b"&xxe;")).reason


def test_an_inclusion_and_a_processing_instruction_do_nothing():
    inside = '<xi:include xmlns:xi="http://www.w3.org/2001/XInclude" href="file:///etc/passwd"/><?php system("x")?>'
    assert read(read_camt, camt(inside + entry())).entry.amount_minor == 1234


@pytest.mark.parametrize("around", ["<a>", "<Acct>", "<Ntry><b>"])
def test_deep_nesting_is_refused(around: str):
    assert "nested more than 64 deep" in read(read_camt, camt(around * 100_000)).reason


def test_deep_nesting_around_a_document_is_refused():
    assert "nested more than 64 deep" in read(read_camt, b"<a>" * 100_000).reason


def test_a_huge_text_that_is_kept_is_refused_with_its_line_and_field():
    found = read(read_camt, camt(entry("1" * 20_000)))
    assert "a text of more than 10000 characters" in found.reason
    assert found.refusal is not None
    assert found.refusal.field == "Amt"


@pytest.mark.parametrize(
    ("start", "filling"),
    [
        (b'<a b="', b"x"),
        (b"<!-- ", b"x"),
        (b"<", b"x"),
        (b"<?a ", b"x"),
        (b"<a ", b" "),
        (b"<a>", b"x"),
        (b"<a><![CDATA[", b"x"),
        (b"", b"<a/>"),
        (b"", b"<Ntry/>"),
        (b"<Ntry>", b"<NtryRef>x</NtryRef>"),
        (
            b"<Ntry><NtryDtls>",
            b"<TxDtls><Refs><EndToEndId>x</EndToEndId></Refs><RmtInf><Ustrd>y</Ustrd></RmtInf></TxDtls>",
        ),
    ],
)
def test_memory_is_bounded_whatever_a_file_goes_on_with_for_ever(start: bytes, filling: bytes):
    """Read and forgotten, or refused: in the memory of what one step of the parser finds."""
    opening = camt("@").split(b"@")[0]

    def pieces() -> Iterator[bytes]:
        yield opening + start
        piece = filling * (65536 // len(filling))
        for _ in range(256 if len(filling) == 1 else 2):
            yield piece

    assert peak_while_read(pieces()) < 4 * 2**20


def peak_while_read(pieces: Iterable[bytes]) -> int:
    tracemalloc.start()
    try:
        with pytest.raises(FileRefused):
            for _ in read_camt(pieces):
                pass
        return tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()


def test_of_a_field_that_comes_again_and_again_the_first_thousand_are_kept():
    file = camt(entry(inside="<NtryRef>x</NtryRef>" * 5_000))
    (fields,) = [e.fields for e in read_groups([file], root_of) if isinstance(e, Ended) and e.group == ENTRY]
    assert len(fields["NtryRef"]) == 1_000


@pytest.mark.parametrize("encoding", ["windows-1252", "utf-7", "ebcdic-cp-us", "Shift_JIS", "x-none"])
def test_any_other_encoding_is_refused_by_its_name(encoding: str):
    before = f'<?xml version="1.0" encoding="{encoding}"?>'
    assert f"the file is encoded in {encoding}" in read(read_camt, camt(entry(), before=before)).reason


@pytest.mark.parametrize(
    ("file", "reason"),
    [
        (CAMT[:-20], "the file is truncated"),
        (CAMT[:300], "the file is truncated"),
        (CAMT.replace(b"</Ntry>", b"</Ntr>", 1), "no well-formed XML: mismatched tag"),
        (CAMT.replace(b"S1", b"S\xff1"), "no well-formed XML"),
        (CAMT.replace(b"S1", b"S\x001"), "no well-formed XML"),
        (CAMT + b"<a/>", "no well-formed XML: junk after document element"),
        (b'<?xml version="1.0" encoding="utf-16"?>' + CAMT, "no well-formed XML"),
        (b"no XML", "no well-formed XML"),
    ],
)
def test_what_is_no_xml_is_refused_with_its_line(file: bytes, reason: str):
    found = read(read_camt, file)
    assert reason in found.reason
    assert found.refusal is not None
    assert found.refusal.line
