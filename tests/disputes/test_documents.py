"""What a document is, by its content: whole ones are known, everything else is refused, in bounded time."""

import time
import zlib
from contextlib import suppress

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bezant.disputes.documents import JPEG, PDF, PNG, Refused, safe_name, type_of
from tests.support.disputes import jpeg, pdf, png

WHOLE = {PDF: pdf(b"<< /Type /Catalog >>"), PNG: png(), JPEG: jpeg()}
LARGE = 2_000_000


@pytest.mark.parametrize("content_type", sorted(WHOLE))
def test_whole_document_is_known_by_its_content(content_type: str) -> None:
    assert type_of(WHOLE[content_type]) == content_type


@pytest.mark.parametrize("content_type", sorted(WHOLE))
def test_document_that_is_cut_off_anywhere_is_refused(content_type: str) -> None:
    whole = WHOLE[content_type].rstrip()
    for length in range(len(whole)):
        with pytest.raises(Refused):
            type_of(whole[:length])


@settings(max_examples=200, deadline=None, derandomize=True, database=None)
@given(content_type=st.sampled_from(sorted(WHOLE)), behind=st.binary(min_size=1, max_size=40).filter(bytes.strip))
def test_whatever_stands_behind_a_document_is_refused(content_type: str, behind: bytes) -> None:
    if content_type == PDF and not behind.strip(b"\0 \t\r\n\x0b\x0c"):
        return
    with pytest.raises(Refused):
        type_of(WHOLE[content_type] + behind)


@settings(max_examples=300, deadline=None, derandomize=True, database=None)
@given(content=st.binary(max_size=200) | st.binary(max_size=100).map(lambda tail: b"\xff\xd8\xff" + tail))
def test_anything_else_is_refused_and_nothing_breaks(content: bytes) -> None:
    with suppress(Refused):
        assert type_of(content) in WHOLE


def test_program_in_compressed_objects_is_found() -> None:
    hidden = zlib.compress(b"<< /S /JavaScript /JS (app.alert(1)) >>")
    stream = b"<< /Type /ObjStm /Filter /FlateDecode >>\nstream\n" + hidden + b"\nendstream"
    with pytest.raises(Refused, match="program"):
        type_of(pdf(stream))
    harmless = zlib.compress(b"<< /Type /Page >>")
    assert type_of(pdf(b"<< /Type /ObjStm >>\nstream\n" + harmless + b"\nendstream")) == PDF


def test_pictures_of_a_page_may_hold_any_bytes() -> None:
    picture = b"<< /Subtype /Image >>\nstream\n\x00/JS (no program, only pixels)\xff\nendstream"
    assert type_of(pdf(picture)) == PDF


def test_damaged_png_is_refused() -> None:
    whole = png()
    with pytest.raises(Refused, match="damaged"):
        type_of(whole[:20] + bytes((whole[20] ^ 1,)) + whole[21:])


@pytest.mark.parametrize(
    "content",
    [
        b"\xff\xd8" + b"\xff" * LARGE,
        b"\xff\xd8\xff" + b"\xff\xe0\x00\x02" * (LARGE // 4),
        b"\xff\xd8\xff" + b"\xda\x00\x02" + b"\xff\x00" * (LARGE // 2),
        b"%PDF-" + b"stream " * (LARGE // 7) + b"%%EOF",
        b"%PDF-" + b"/ObjStm stream endstream" * (LARGE // 24) + b"%%EOF",
        b"%PDF-" + b"#4a" * (LARGE // 3) + b"%%EOF",
        pdf(b"/ObjStm stream\n" + zlib.compress(bytes(500 * LARGE // 10)) + b"endstream"),
        png()[:33] + (bytes(4) + b"tEXt" + zlib.crc32(b"tEXt").to_bytes(4)) * (LARGE // 12),
    ],
    ids=range(8),
)
def test_malicious_document_costs_no_time_and_no_memory(content: bytes) -> None:
    began_s = time.process_time()
    with suppress(Refused):
        type_of(content)
    assert time.process_time() - began_s < 3


@pytest.mark.parametrize(
    ("name", "safe"),
    [
        ("receipt.PDF", "receipt.pdf"),
        ("../../etc/passwd", "passwd.pdf"),
        ("C:\\temp\\a b.exe", "a b.pdf"),
        ("<script>.pdf", "_script_.pdf"),
        ("=cmd|' /C calc'!A0", "C calc_A0.pdf"),
        ("....", "document.pdf"),
        ("\u202etxt.pdf", "_txt.pdf"),
        ("x" * 200, "x" * 80 + ".pdf"),
    ],
)
def test_name_is_plain_and_ends_as_its_type(name: str, safe: str) -> None:
    assert safe_name(name, PDF) == safe
