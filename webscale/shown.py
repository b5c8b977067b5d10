"""What may be shown of a value: by its name, and only by the names in these lists. Everything else stays hidden.

Used inside the server, before anything leaves it, and in the notebook, on the bytes that the client itself sent.
"""
import dataclasses
import json
import re
from collections.abc import Iterable, Mapping
from urllib.parse import parse_qsl, urlsplit

HIDDEN = "‹hidden›"
MOST_TEXT, MOST_ITEMS, MOST_DEPTH = 200, 20, 5
LARGEST = 10**18   # a longer number says nothing to a reader, and json refuses to write the longest

# Fields, parameters, columns and variables whose value may be shown. A name belongs here only if no secret can be
# meant by it, whoever sends it.
SHOWN = set("""
    id name price_cents stock seller_id seller version quantity product_id account_id order_id status status_code
    total_cents ordered_at started_at seen_at still_sold request_id limit after before now wanted by_product count
    type title next method answer allowed
""".split())
# Members of an error's answer. They repeat what somebody sent, so only the bytes that went over the wire show them,
# where the notebook knows what was sent.
TOLD = {"detail", "field", "value"}
# Fields of a JSON body that may be named, though their value stays hidden or is looked into.
NAMED = SHOWN | TOLD | set("email password token token_hash password_hash lines items account session key fingerprint".split())
HEADERS = set("""
    accept accept-encoding accept-language allow cache-control connection content-encoding content-length content-type
    content-security-policy cross-origin-resource-policy date etag expect host idempotency-key if-match if-none-match
    last-modified location origin referrer-policy retry-after sec-fetch-site server traceparent transfer-encoding
    user-agent vary x-content-type-options x-frame-options x-request-id
""".split())
E_MAIL = re.compile(r"""[^\s@"'<>/&=;,:()?#]+(?:@|%40)[^\s@"'<>/&=;,:()?#]+""", re.IGNORECASE)
JSON_TEXT = r'"(?:[^"\\]|\\.)*"'
JSON_PAIR = re.compile(rf'({JSON_TEXT})(\s*:\s*)({JSON_TEXT}|-?\d[\d.eE+-]*)')


def shown(value: object, name: str = "", depth: int = 0) -> object:
    """The value as JSON can carry it, with everything hidden whose name is not on the list."""
    if value is None or isinstance(value, bool):
        return value
    if isinstance(value, (int, float)):
        return HIDDEN if name not in SHOWN else value if abs(value) < LARGEST else "‹a long number›"
    if isinstance(value, str):
        return clean(value) if name in SHOWN else HIDDEN
    if isinstance(value, bytes):
        return f"‹{len(value):,} bytes›"
    if depth < MOST_DEPTH and (parts := parts_of(value)) is not None:
        return shown_parts(parts, name, depth + 1, from_outside=isinstance(value, dict))
    if depth < MOST_DEPTH and isinstance(value, (list, tuple, set, frozenset)):
        return [shown(item, name, depth + 1) for item in list(value)[:MOST_ITEMS]]
    return f"‹{type(value).__name__}›"


def parts_of(value: object) -> Mapping | None:
    """The fields of a dictionary, a database row or a dataclass; None if it is none of them."""
    if isinstance(value, Mapping):
        return value
    if hasattr(value, "keys") and hasattr(value, "__getitem__"):
        return {key: value[key] for key in value.keys()}
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        fields = {field.name: getattr(value, field.name) for field in dataclasses.fields(value)}
        return fields if SHOWN & fields.keys() else None   # of settings, say, the type's name is enough
    return None


def shown_parts(parts: Mapping, name: str, depth: int, from_outside: bool) -> dict:
    """The fields, each by its own name. A dictionary may come from a client: then its keys are on a list too."""
    described = {}
    for key, value in list(parts.items())[:MOST_ITEMS]:
        if not isinstance(key, str):
            described[str(shown(key, name))] = shown(value, name, depth)
        elif from_outside and key not in NAMED:
            described[HIDDEN] = HIDDEN
        else:
            described[key] = shown(value, key, depth)
    return described


def clean(text: str) -> str:
    """The text without e-mail addresses, cut to a length that fits a screen, and sure to be printable."""
    return E_MAIL.sub(HIDDEN, text[:MOST_TEXT]).encode("utf-8", "replace").decode()


def shown_headers(headers: Iterable[tuple[bytes, bytes]]) -> dict[str, str]:
    """The headers; those that are not on the list keep their names only."""
    described = {}
    for name, value in headers:
        name = name.decode("latin-1").lower()
        described[name] = clean(value.decode("latin-1")) if name in HEADERS else HIDDEN
    return described


def masked_path(path: str) -> str:
    """The path and its query, without e-mail addresses and without the values of unknown parameters."""
    parts = urlsplit(path)
    pairs = [f"{clean(key)}={clean(value) if key in SHOWN else HIDDEN}"
             for key, value in parse_qsl(parts.query, keep_blank_values=True)]
    return clean(parts.path) + ("?" + "&".join(pairs) if pairs else "")


def masked_json(text: str, mask=lambda key: f'"{HIDDEN}"') -> str:
    """The JSON text, each text or number of an unlisted field replaced by mask(field)."""
    def one(match: re.Match) -> str:
        key = match[1][1:-1]
        return match[0] if key in SHOWN | TOLD else match[1] + match[2] + mask(key)
    return JSON_PAIR.sub(one, text)


def hidden_values(body: object, name: str = "") -> set[str]:
    """All texts in a JSON value that are under names which are not shown."""
    if isinstance(body, dict):
        return set().union(*(hidden_values(value, key) for key, value in body.items()))
    if isinstance(body, list):
        return set().union(*(hidden_values(item, name) for item in body))
    return {body} if isinstance(body, str) and name not in SHOWN and len(body) > 3 else set()


def without(text: str, values: Iterable[str]) -> str:
    """The text without the values, as they are or as JSON writes them, and without e-mail addresses."""
    for value in sorted(values, key=len, reverse=True):
        for written in {value, json.dumps(value)[1:-1], json.dumps(value, ensure_ascii=False)[1:-1]}:
            text = text.replace(written, HIDDEN)
    return E_MAIL.sub(HIDDEN, text)
