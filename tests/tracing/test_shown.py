"""What may be shown of a value."""
import json
from dataclasses import dataclass

import pytest
from hypothesis import given
from hypothesis import strategies as st

from webscale.shown import HIDDEN, masked_path, shown, shown_headers


@dataclass
class Account:
    id: int
    email: str


@dataclass
class Settings:
    database: str


@pytest.mark.parametrize("value, name, expected", [
    (7, "stock", 7),
    (7, "pin", HIDDEN),
    ("Teapot", "name", "Teapot"),
    ("hunter2", "password", HIDDEN),
    ("pat@example.com", "name", HIDDEN),
    (None, "password", None),
    (b"123", "", "‹3 bytes›"),
    (-10**30, "quantity", "‹a long number›"),
    ({"product_id": 1, "password": "x"}, "", {"product_id": 1, "password": HIDDEN}),
    ({"hunter2": 1}, "", {HIDDEN: HIDDEN}),
    ([{"id": 1}, {"email": "x"}], "", [{"id": 1}, {"email": HIDDEN}]),
    ({3: 4}, "wanted", {"3": 4}),
    (Account(1, "pat@example.com"), "account", {"id": 1, "email": HIDDEN}),
    (Settings("postgresql://me:secret@host"), "settings", "‹Settings›"),
    (object(), "db", "‹object›"),
])
def test_a_value_is_shown_by_its_name(value, name, expected):
    assert shown(value, name) == expected


def test_half_a_character_can_be_sent_and_printed():
    assert json.loads(json.dumps(shown("a\ud800", "name"))).encode("utf-8")


def test_headers_off_the_list_keep_their_names_only():
    assert shown_headers([(b"Cookie", b"session=abc"), (b"Host", b"shop")]) == {"cookie": HIDDEN, "host": "shop"}


@pytest.mark.parametrize("path, masked", [
    ("/products?after=3&limit=2", "/products?after=3&limit=2"),
    ("/products?token=abc", "/products?token=‹hidden›"),
    ("/users/pat@example.com", "/users/‹hidden›"),
    ("/users/pat%40example.com", "/users/‹hidden›"),
])
def test_a_path_is_shown_without_addresses_and_unknown_parameters(path, masked):
    assert masked_path(path) == masked


json_values = st.recursive(st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
                           lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner), max_leaves=20)


@given(json_values)
def test_whatever_is_shown_can_be_sent(value):
    assert json.dumps(shown({"body": value, "name": value}))
