"""The messages that all parts share."""

from __future__ import annotations

import pytest

from enfold import errors

KNOWN = ["max_length", "min_length", "top_k"]


@pytest.mark.parametrize(("names", "says"), [
    (["top_kk"], "f: unknown argument 'top_kk' (nearest: 'top_k')"),
    (["maxlength", "topk"], "f: unknown argument 'maxlength' (nearest: 'max_length', 'min_length'),"
                            " 'topk' (nearest: 'top_k')"),
    (["top_kk", "zzz"], "f: unknown argument 'top_kk' (nearest: 'top_k'), 'zzz'. Expected one of: "
                        "max_length, min_length, top_k"),
])
def test_unknown_arguments_lists_all_names_only_where_none_is_near(names: list[str],
                                                                   says: str) -> None:
    error = errors.unknown_arguments("f", names, reversed(KNOWN))
    assert isinstance(error, TypeError)
    assert str(error) == says


def test_a_key_error_prints_as_its_message() -> None:
    assert str(errors.TaskError("no task 'x'")) == "no task 'x'"
