"""Files that were cut, changed or made up: read, or refused, and never anything else."""

import functools
from collections.abc import Callable, Iterable, Iterator

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bezant.banks.contract import Part
from bezant.banks.formats import FORMATS
from bezant.base.file_faults import FileRefused
from tests.banks.samples import FILES, Read, read

Reader = Callable[[Iterable[bytes]], Iterator[Part]]

every_format = pytest.mark.parametrize("form", list(FILES))


@functools.cache
def whole(form: str) -> Read:
    reader, file = FILES[form]
    return read(reader, file)


@every_format
def test_a_file_that_is_cut_anywhere_gives_a_beginning_of_what_it_says_and_is_refused(form: str):
    """What stands where it was cut may be short. Only a CSV has no end that could be missed."""
    reader, file = FILES[form]
    full = whole(form)
    assert full.refusal is None
    for end in range(len(file)):
        found = read(reader, file[:end])
        if found.parts == full.parts:
            continue
        if form == "csv":
            assert found.entries[:-1] == full.entries[: max(0, len(found.entries) - 1)]
        else:
            assert found.refusal is not None, f"the first {end} bytes were read as if they were all"
            assert found.parts[:-1] == full.parts[: max(0, len(found.parts) - 1)]


@every_format
@given(data=st.data())
@settings(deadline=None, max_examples=150)
def test_changed_bytes_never_raise_anything_but_a_refusal(form: str, data: st.DataObject):
    reader, file = FILES[form]
    changed = bytearray(file)
    for _ in range(data.draw(st.integers(1, 8))):
        at = data.draw(st.integers(0, len(changed) - 1))
        how = data.draw(st.sampled_from(["set", "cut", "add", "double"]))
        if how == "set":
            changed[at] = data.draw(st.integers(0, 255))
        elif how == "cut":
            del changed[at : at + data.draw(st.integers(1, 20))]
        elif how == "add":
            changed[at:at] = data.draw(st.sampled_from(TROUBLE))
        else:
            changed[at:at] = changed[at : at + data.draw(st.integers(1, 60))]
        if not changed:
            return
    read(reader, bytes(changed), data.draw(st.sampled_from([None, 1, 5, 100])))


TROUBLE = [
    b"\0",
    b"\xff\xfe",
    b"\xc3",
    b"\r",
    b"\n",
    b"\n\n",
    b'"',
    b"<",
    b"&",
    b"]]>",
    b"-",
    b",",
    b"/",
    b":86:",
    b"\n:20:",
    b"\n:61:",
    b"\n88,",
    b"9" * 40,
    b"\xd9\xa3",
    "\u2028".encode(),
    b"\x1c",
]


@every_format
@given(
    file=st.one_of(st.binary(max_size=300), st.text(alphabet=":0123456789,/CDRNEUR-\n?+", max_size=200).map(str.encode))
)
@settings(deadline=None, max_examples=150)
def test_made_up_bytes_never_raise_anything_but_a_refusal(form: str, file: bytes):
    read(FILES[form][0], file)
    for known in FORMATS:
        known.recognise(file)


@given(values=st.lists(st.text(alphabet="0123456789CDRE,NTF /:-?\n", max_size=40), max_size=6))
@settings(deadline=None, max_examples=200)
def test_made_up_fields_of_an_mt940_never_raise_anything_but_a_refusal(values: list[str]):
    tags = (":61:", ":86:", ":60F:", ":62F:", ":90C:", ":34F:")
    fields = [tag + value for tag, value in zip(tags, values, strict=False)]
    read(FILES["mt940"][0], "\n".join([":20:A", ":25:B", ":60F:C260401EUR0,", *fields, ":62F:C260401EUR0,"]).encode())


@given(values=st.lists(st.text(alphabet="0123456789,SVDZ+-/ ", max_size=40), min_size=1, max_size=6))
@settings(deadline=None, max_examples=200)
def test_made_up_records_of_a_bai2_never_raise_anything_but_a_refusal(values: list[str]):
    codes = ("03", "88", "16", "88", "49", "98")
    records = [f"{code},{value}" for code, value in zip(codes, values, strict=False)]
    read(FILES["bai2"][0], "\n".join(["01,S,R,260402,0713,1,,,2/", "02,R,S,1,260401,,USD,2/", *records]).encode())


@every_format
def test_the_same_bytes_give_the_same_parts(form: str):
    reader, file = FILES[form]
    assert read(reader, file).parts == whole(form).parts


def test_a_refusal_names_its_place():
    refusal = FileRefused("it is wrong", line=3, field="61")
    assert str(refusal) == "it is wrong (line 3 field '61')"
