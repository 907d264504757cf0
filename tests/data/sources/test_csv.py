"""CSV: types, missing values, names and rows are those of `datasets`, which reads with pandas."""

from __future__ import annotations

import csv
import io
import math
from typing import Any

import pyarrow as pa
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from enfold.data.sources import delimited, read
from enfold.errors import ArgumentError, DataFileError

from .conftest import loaded, rows_of

TEXTS = [
    "a,b\n1,x\n,y\n3,\n", "a,b\nTrue,1.5\nFalse,\n", "a\nTrue\n\nFalse\n", "a,b\nTrue,1\n,2\n",
    "a\n2020-01-01\n2020-01-02\n", "a,a,,b\n1,2,3,4\n", "a,b\n1\n2,3\n",
    "a\n18446744073709551615\n1\n", "a\n+5\n 6\n7 \n", "a\n1e5\ninf\nnan\n",
    "a,b\nNA,1\nNULL,2\n", 'a,b\n"x ""q"" y",1\n"l1\nl2",2\n', 'a\n5" pipe\nx\n',
    "a,b\n\n  \n1,2\n", "a,b\r\n1,2\r\n3,4\r\n", "a,b\r1,2\r3,4\r", "\ufeffa,b\n1,2\n",
    "a\nTrue\n1\n", "a\n1\n2.5\nx\n", "a\n0x10\n", "a\n1_000\n", "a,b\n007,x\n1,y\n",
    "a;b\n1;2\n", "a,b,a\n1,,2\n", "a\n1.0\n2\n", "a,b\n1, 2\n3, x\n",
    "a\n9223372036854775808\n\n5\n", "a\nyes\nno\n", "a\nFALSE\ntrue\n", "0,1\nx,2\n",
    'a,b\n"x"y,1\n', "a\n12:30\n", "é,ü\nß,1\n"]
OPTIONS: list[tuple[str, dict[str, Any]]] = [
    ("1,2\n3,4\n", {"header": None}), ("1,2\n3,4\n", {"column_names": ["x", "y"]}),
    ("1,2\n3,4\n", {"names": ["x", "y"]}), ("a,b\n3,4\n", {"names": ["x", "y"], "skiprows": 1}),
    ("a,b\n3,4\n", {"column_names": ["x", "y"], "header": 0}), ("z\na,b\n3,4\n", {"skiprows": 1}),
    ("z\na,b\n3,4\n", {"header": 1}), ("a,b\n3,4\n", {"usecols": ["b"]}),
    ("a,b\n3,4\n", {"usecols": [0]}), ("a,b\n3,4\n", {"sep": ";"}),
    ("a\tb\n3\t4\n", {"delimiter": "\t"}), ("a,b\n3,4\n5,6\n7,8\n", {"nrows": 2}),
    ("a,b\n'x,y',1\n", {"quotechar": "'"}), ('a,b\n"x,1\n', {"quoting": 3}),
    ("a,b\n1,5;5\n", {"sep": ",", "decimal": ";"}), ("a,b\n-,1\n", {"na_values": "-"}),
    ("a,b\nNA,1\n", {"keep_default_na": False}), ("a,b\nNA,1\n,2\n", {"na_filter": False}),
    ("a,b\nyes,1\nno,2\n", {"true_values": ["yes"], "false_values": ["no"]}),
    ("a\n1\n\n2\n", {"skip_blank_lines": False}), ('a,b\n"x\\"y",1\n', {"escapechar": "\\"}),
    ("a,b\n1,2\n3,4,5\n6,7\n", {"on_bad_lines": "skip"}),
    ("a\nx\n", {"encoding": "utf-8-sig", "engine": "c", "chunksize": 5})]


def same(left: list[dict[str, Any]], right: list[dict[str, Any]]) -> bool:
    """Equal rows; floats to the last digits, which pandas' fast parser rounds otherwise."""
    def equal(a: Any, b: Any) -> bool:
        if isinstance(a, float) and isinstance(b, float):
            return a == b or math.isclose(a, b, rel_tol=1e-14) or (a != a and b != b)
        return bool(a == b)

    return len(left) == len(right) and all(
        x.keys() == y.keys() and all(equal(x[k], y[k]) for k in x)
        for x, y in zip(left, right, strict=True))


@pytest.mark.parametrize("text", TEXTS)
def test_reads_what_datasets_reads(text: str, write: Any, oracle: Any) -> None:
    path = write("a.csv", text)
    schema, rows = loaded("csv", path)
    expected, wanted = oracle("csv", path)
    assert schema == expected
    assert same(rows, wanted), (rows, wanted)


@pytest.mark.parametrize(("text", "options"), OPTIONS)
def test_options_mean_what_they_do_in_datasets(text: str, options: dict[str, Any], write: Any,
                                               oracle: Any) -> None:
    path = write("a.csv", text)
    assert loaded("csv", path, **options) == oracle("csv", path, **options)


@pytest.mark.parametrize(("encoding", "text"), [("latin-1", "é\nß\n"), ("utf-16", "é\nß\n"),
                                                ("cp1252", "a\n€\n")])
def test_encodings(encoding: str, text: str, write: Any, oracle: Any) -> None:
    path = write("a.csv", text.encode(encoding))
    assert loaded("csv", path, encoding=encoding) == oracle("csv", path, encoding=encoding)


def test_ids_beyond_uint64_and_beside_missing_ones_stay_text(write: Any) -> None:
    big = "99999999999999999999999"
    assert loaded("csv", write("a.csv", f"a,b\n{big},{2 ** 63}\n1,\n"))[1] == [
        {"a": big, "b": str(2 ** 63)}, {"a": "1", "b": None}]


def test_on_bad_lines_warn(write: Any) -> None:
    path = write("a.csv", "a,b\n1,2\n3,4,5\n")
    with pytest.warns(UserWarning, match=r"left out a row that has 3 fields, the header has 2: "):
        assert rows_of(read("csv", path, on_bad_lines="warn")) == [{"a": 1, "b": 2}]


CELLS = st.text(st.sampled_from('ab1 ,"\n\r;'), max_size=6)


@settings(max_examples=150, deadline=None, derandomize=True,
          suppress_health_check=list(HealthCheck))
@given(st.lists(st.tuples(CELLS, CELLS), min_size=1, max_size=12),
       st.sampled_from([csv.QUOTE_MINIMAL, csv.QUOTE_ALL]), st.integers(1, 40))
def test_blocks_of_any_size_give_the_same_rows(
        tmp_path: Any, rows: list[tuple[str, str]], quoting: Any, size: int) -> None:
    out = io.StringIO()
    csv.writer(out, quoting=quoting).writerows([("x", "y"), *rows])
    path = tmp_path / "a.csv"
    path.write_bytes(out.getvalue().encode())
    options = {"na_filter": False, "skip_blank_lines": False,
               "features": pa.schema({"x": pa.string(), "y": pa.string()})}
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(delimited, "SIZE", size)
        found = rows_of(read("csv", path, **options))
    assert found == [{"x": x, "y": y} for x, y in rows]


MESSY = st.text(st.sampled_from('a," \n'), max_size=30)


@settings(max_examples=150, deadline=None, derandomize=True,
          suppress_health_check=list(HealthCheck))
@given(MESSY, st.integers(1, 9))
def test_block_borders_in_messy_quotes_change_nothing(tmp_path: Any, body: str, size: int) -> None:
    path = tmp_path / "a.csv"
    path.write_text("x,y,z\n" + body + "\n", newline="")

    def result(size: int) -> Any:
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(delimited, "SIZE", size)
            try:
                return rows_of(read("csv", path, na_filter=False, on_bad_lines="skip",
                                    features=pa.schema(dict.fromkeys("xyz", pa.string()))))
            except DataFileError as error:
                return str(error)

    assert result(size) == result(1 << 20)


@pytest.mark.parametrize(("options", "error", "message"), [
    ({"thousands": ","}, NotImplementedError,
     "csv: thousands=',' is not done here. Do: read the file with pandas.read_csv and pass the "
     "frame to Dataset.from_pandas()"),
    ({"sep": r"\s+"}, NotImplementedError, r"csv: sep='\\s+', which is not one ASCII character, is "
     "not done here. Do: read the file with pandas.read_csv and pass the frame to "
     "Dataset.from_pandas()"),
    ({"skiprows": [3]}, NotImplementedError, "csv: skiprows=[3], other than the first rows, is not "
     "done here. Do: read the file with pandas.read_csv and pass the frame to "
     "Dataset.from_pandas()"),
    ({"quoting": 7}, ArgumentError,
     "csv: quoting=7. Expected 0 (minimal), 1 (all) or 3 (none)"),
    ({"on_bad_lines": "x"}, ArgumentError,
     "csv: on_bad_lines='x'. Expected 'error', 'warn' or 'skip'"),
    ({"delimeter": ";"}, ArgumentError,
     "csv: unknown argument 'delimeter' (nearest: 'delimiter')")])
def test_options_that_are_refused(options: dict[str, Any], error: type[Exception], message: str,
                                  write: Any) -> None:
    with pytest.raises(error) as raised:
        read("csv", write("a.csv", "a\n1\n"), **options)
    assert str(raised.value).startswith(message)


@pytest.mark.parametrize("name", ["index_col", "converters", "comment", "dialect", "date_format",
                                  "lineterminator", "skipfooter", "skipinitialspace"])
def test_each_option_that_is_not_done_is_named(name: str, write: Any) -> None:
    with pytest.raises(NotImplementedError, match=f"^csv: {name}=1 is not done here"):
        read("csv", write("a.csv", "a\n1\n"), **{name: 1})


@pytest.mark.parametrize(("content", "message"), [
    ("", ": has no columns; it is empty. Expected a header in row 0. Do: pass column_names=, or "
     "leave it out"),
    ("a,b\n1,2\n4,5,6\n", ", line 3: has 3 fields, the header has 2. Do: mend it, check sep=',' "
     "and the quotes, pass column_names= if the header is short, or on_bad_lines='skip'"),
    ('a,b\n"1\n2",3\n4,5,6\n', ", line 4: has 3 fields, the header has 2. Do: mend it, "
     "check sep=',' and the quotes, pass column_names= if the header is short, or on_bad_lines='skip'"),  # noqa: E501
    ('a,b\n1,2\n"x,2\n3,4\n', ", line 3: a quote opens here and never closes. Do: close it, or "
     "pass quoting=3 if quotes mean nothing in this file"),
    (b"a\nx\n\xff\n", ", line 3: the byte 0xff is no utf-8 (invalid start byte). Do: pass "
     "encoding=, for example encoding='latin-1', or encoding_errors='replace'")])
def test_bad_files_are_named_with_the_line(content: str | bytes, message: str, write: Any) -> None:
    path = write("a.csv", content)
    with pytest.raises(DataFileError) as raised:
        rows_of(read("csv", path))
    assert str(raised.value) == f"{path}{message}"


def test_lines_count_across_blocks(write: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(delimited, "SIZE", 64)
    path = write("a.csv", "a,b\n" + "1,2\n" * 100 + "1,2,3\n" + "1,2\n" * 100)
    with pytest.raises(DataFileError, match="line 102: has 3 fields"):
        rows_of(read("csv", path))


def test_features_give_types_and_the_file_may_have_more_columns(write: Any) -> None:
    path = write("a.csv", "a,b,c\n007,1,x\n")
    features = pa.schema({"b": pa.float32(), "a": pa.string()})
    assert loaded("csv", path, features=features) == (features, [{"b": 1.0, "a": "007"}])
    with pytest.raises(DataFileError) as raised:
        rows_of(read("csv", path, features=pa.schema({"a": pa.string(), "d": pa.string()})))
    assert str(raised.value) == (
        f"{path}: lacks the columns ['d'] of features=. It has ['a', 'b', 'c']")
    with pytest.raises(DataFileError, match="a.csv, rows from line 2 on: does not fit features=: "
                                            "column 'c'.*'x'"):
        rows_of(read("csv", path, features=pa.schema({"c": pa.int64()})))


def test_class_labels(write: Any) -> None:
    from enfold.data.features import ClassLabel, Features, Value
    path = write("a.csv", "a,b\nA,1\nB,0\n")
    features = Features({"a": ClassLabel(names=["A", "B"]), "b": Value("bool")})
    assert loaded("csv", path, features=features)[1] == [{"a": 0, "b": True}, {"a": 1, "b": False}]
