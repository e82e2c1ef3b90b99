"""Which format a file is of, and what is said of one that is of none."""

import gzip
import io
import zipfile

import pytest

from bezant.banks.formats import FORMATS, format_named, recognise
from bezant.base.file_faults import FileRefused
from tests.banks.samples import BAI2, CAMT, CSV, MT940, MT942


@pytest.mark.parametrize(
    ("start", "name"),
    [
        (CAMT, "camt"),
        (b'\xef\xbb\xbf<?xml version="1.0"?>\n' + CAMT, "camt"),
        (CAMT.decode().encode("utf-16"), "camt"),
        (CAMT.decode().encode("utf-16-be"), "camt"),
        (b"<message><AppHdr><MsgDefIdr>camt.053.001.07</MsgDefIdr></AppHdr>", "camt"),
        (MT940, "mt940"),
        (MT942, "mt940"),
        (b"{1:F01BANKXX}{2:O940BANKXXN}{3:}{4:\r\n" + MT940, "mt940"),
        (b"ABNANL2A\n940\nABNANL2A\n" + MT940, "mt940"),
        (b":60F:C260401EUR1,\n", "mt940"),
        (BAI2, "bai2"),
    ],
)
def test_a_file_is_recognised_by_what_it_begins_with(start: bytes, name: str):
    assert recognise(start).name == name
    assert [known.name for known in FORMATS if known.recognise(start[:4096])] == [name]
    assert format_named(name) is recognise(start)


def zipped() -> bytes:
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w") as archive:
        archive.writestr("statement.xml", CAMT)
    return file.getvalue()


@pytest.mark.parametrize(
    ("start", "reason"),
    [
        (zipped(), "a ZIP archive"),
        (gzip.compress(CAMT), "a gzip archive"),
        (b"%PDF-1.7\n", "a PDF document"),
        (b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1", "an Office document"),
        (b"\x7fELF\x02", "a program"),
        (CAMT.decode().encode("utf-32"), "encoded in UTF-32"),
        (b"", "the file is empty"),
        (b" \r\n\t", "the file is empty"),
        (b"<html></html>", "an HTML page, which is none of camt.052, camt.053"),
        (b"<Document/>", "an XML document, which is none of camt.052"),
        (b"\0\x02\x9c\xff" * 9, "binary data, which is none of"),
        (b"x" * 257 + b"ustar\0", "a tar archive"),
        (CSV, "a CSV file needs a mapping"),
        (b"Dear Sir or Madam", "none of camt.052"),
    ],
)
def test_any_other_file_is_refused_with_what_is_known_of_it(start: bytes, reason: str):
    with pytest.raises(FileRefused, match=r".+") as refusal:
        recognise(start)
    assert reason in str(refusal.value)
    assert format_named("csv") is None
