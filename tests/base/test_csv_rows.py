"""Rows out of CSV files in pieces: numbered by the lines they begin on, strict about quotes, little of them held."""

import tracemalloc
from collections.abc import Iterator

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bezant.base.csv_rows import LINE_BYTES_MAX, CsvRows
from bezant.base.file_faults import BadLine, FileRefused


def rows(*pieces: bytes) -> list[tuple[int, list[str]] | BadLine]:
    return list(CsvRows(pieces))


def refusal(*pieces: bytes) -> FileRefused:
    with pytest.raises(FileRefused) as refused:
        rows(*pieces)
    return refused.value


def test_a_row_has_the_number_of_the_line_that_it_begins_on():
    data = b'a,b\r\n"x\r\ny",1\r\n\r\nz,2'
    assert rows(data) == [(1, ["a", "b"]), (2, ["x\r\ny", "1"]), (5, ["z", "2"])]


def test_quotes_part_cells_as_rfc_4180_has_it():
    assert rows(b'"a,b","say ""hello""",c\n') == [(1, ["a,b", 'say "hello"', "c"])]


@given(data=st.text(alphabet='ab,"\n\rü', max_size=80), cut=st.integers(1, 40))
def test_where_the_pieces_of_a_file_end_makes_no_difference(data: str, cut: int):
    raw = data.encode()

    def outcome(size: int) -> object:
        try:
            return rows(*(raw[at : at + size] for at in range(0, len(raw), size)))
        except FileRefused as refused:
            return str(refused)

    assert outcome(cut) == outcome(1000)


def test_a_byte_order_mark_is_no_part_of_the_first_cell():
    assert rows(b"\xef\xbb\xbfa,b\n") == [(1, ["a", "b"])]
    assert rows(b"\xef", b"\xbb\xbf", b"a\n") == [(1, ["a"])]


def test_a_line_with_a_stray_quote_is_at_fault_and_the_others_are_not():
    found = rows(b'a,b\n"x"y,1\nz,2\n')
    assert found[0] == (1, ["a", "b"])
    assert found[2] == (3, ["z", "2"])
    assert isinstance(found[1], BadLine)
    assert (found[1].number, found[1].text) == (2, '"x"y,1')
    assert "quot" in found[1].reason


def test_a_quote_that_swallows_lines_refuses_the_file():
    refused = refusal(b'a,b\nc,"d\ne,f\ng,"h\n')
    assert (refused.line, "several lines" in refused.reason) == (2, True)


def test_a_quote_that_is_never_closed_refuses_the_file():
    refused = refusal(b'a,b\nc,d\ne,"f\ng,h\n')
    assert (refused.line, refused.reason) == (3, "a quote is never closed")


def test_a_file_in_another_encoding_is_refused_with_its_line():
    refused = refusal(b"a,b\nc,caf\xe9\n")
    assert (refused.line, refused.reason) == (2, "no UTF-8: a byte 0xe9")
    assert "UTF-16" in refusal("a,b\n".encode("utf-16")).reason


def test_a_file_with_a_nul_is_refused_with_its_line():
    assert refusal(b"a\nb\n", b"c\0d\n").line == 3


@pytest.mark.parametrize(
    ("start", "what"),
    [
        (b"PK\x03\x04rest", "ZIP"),
        (b"\x1f\x8brest", "gzip"),
        (b"%PDF-1.7", "PDF"),
        (b"\xd0\xcf\x11\xe0rest", "Office"),
        (b"<?xml version='1.0'?>", "XML"),
        (b'{"a": 1}', "JSON"),
    ],
)
def test_what_is_no_csv_is_refused_by_what_it_is(start: bytes, what: str):
    assert what in refusal(start + b"\n").reason


@pytest.mark.parametrize("data", [b"", b"\n", b"\r\n\r\n", b"  \n"])
def test_an_empty_file_is_refused(data: bytes):
    assert "empty" in refusal(data).reason


def test_a_line_without_end_is_refused_before_it_fills_the_memory():
    def endless() -> Iterator[bytes]:
        yield b"a,b\n"
        while True:
            yield b"x" * 10_000

    with pytest.raises(FileRefused) as refused:
        list(CsvRows(endless()))
    assert refused.value.line == 2
    assert refusal(b"a\n" + b"x" * (LINE_BYTES_MAX + 1) + b"\nb\n").line == 2


def test_a_long_file_is_never_held_whole():
    block = b"some,cells,of,a,row\n" * 1000
    tracemalloc.start()
    try:
        count = sum(1 for _ in CsvRows(block for _ in range(50)))
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert count == 50_000
    assert peak < 1_500_000


def test_it_is_known_whether_the_last_line_ends():
    whole, cut = CsvRows([b"a\nb\n"]), CsvRows([b"a\nb"])
    assert [list(whole), list(cut)] == [[(1, ["a"]), (2, ["b"])]] * 2
    assert (whole.is_cut, cut.is_cut) == (False, True)


def test_card_data_in_a_line_at_fault_is_not_shown():
    (found,) = rows(b'"x"y,4111 1111 1111 1111\n')
    assert isinstance(found, BadLine)
    assert "4111" not in found.text
