"""What a controller takes from a request: fields of the right kind, a page's place, who is logged in."""
import re
import unicodedata
from collections.abc import Callable, Mapping

from starlette.requests import Request

from shop.accounts.feature import Account
from shop.errors import Forbidden, InvalidInput, NotLoggedIn

MOST_PER_PAGE = 100
PER_PAGE = 20
LARGEST_ID = 10**18 - 1   # fits the 64 bits of both databases
MISSING = object()        # the value of a field that did not come; null would be a value

Field = Callable[[str, object], object]   # (name, value as it came) -> value as we want it; raises InvalidInput


def parse(body: object, fields: Mapping[str, Field]) -> dict:
    """The body's fields, checked; InvalidInput names the first that is missing, unknown or wrong."""
    if not isinstance(body, dict):
        raise InvalidInput("The body must be a JSON object.", field="", value=shown(body))
    if unknown := sorted(body.keys() - fields.keys()):
        raise InvalidInput(f"There is no field {shown(unknown[0])!r} here; there are: {', '.join(fields)}.",
                           field=shown(unknown[0]))
    return {name: field(name, body.get(name, MISSING)) for name, field in fields.items()}


def text(least: int, most: int, pattern: str = r".*", example: str = "") -> Field:
    """A field that is text of a length, which matches the pattern."""
    def check(name: str, value: object) -> str:
        fits = isinstance(value, str) and least <= len(value) <= most and is_printable(value)
        if not fits or not re.fullmatch(pattern, value):
            wanted = example or f"text of {least} to {most} characters"
            raise InvalidInput(f"{name} must be {wanted}, not {shown(value)!r}.", field=name, value=shown(value))
        return value
    return check


def secret(least: int, most: int) -> Field:
    """A field that is text of a length, and that no error message repeats."""
    def check(name: str, value: object) -> str:
        if not (isinstance(value, str) and least <= len(value) <= most and is_printable(value)):
            raise InvalidInput(f"{name} must be text of {least} to {most} characters.", field=name)
        return value
    return check


def integer(least: int, most: int) -> Field:
    """A field that is a whole number in a range."""
    def check(name: str, value: object) -> int:
        if isinstance(value, float) and value.is_integer():
            value = int(value)   # JSON knows one kind of number: 3.0 is 3
        # In Python True is an int; in JSON it is not a number.
        if isinstance(value, bool) or not isinstance(value, int) or not least <= value <= most:
            raise InvalidInput(f"{name} must be a whole number from {least:,} to {most:,}, not {shown(value)!r}.",
                               field=name, value=shown(value))
        return value
    return check


def boolean(default: bool) -> Field:
    """A field that is true or false, and may be left out."""
    def check(name: str, value: object) -> bool:
        if value is MISSING:
            return default
        if not isinstance(value, bool):
            raise InvalidInput(f"{name} must be true or false, not {shown(value)!r}.", field=name, value=shown(value))
        return value
    return check


def several(least: int, most: int, fields: Mapping[str, Field]) -> Field:
    """A field that is a list of objects, each with the given fields."""
    def check(name: str, value: object) -> list[dict]:
        if not isinstance(value, list) or not least <= len(value) <= most:
            raise InvalidInput(f"{name} must be a list of {least} to {most} objects.", field=name, value=shown(value))
        return [parse(item, {key: inside(f"{name}[{place}]", field) for key, field in fields.items()})
                for place, item in enumerate(value)]
    return check


def inside(place: str, field: Field) -> Field:
    """The field, with the place where it stands in its name: lines[2].quantity."""
    return lambda name, value: field(f"{place}.{name}", value)


def page(request: Request, start: str) -> tuple[int, int]:
    """Where the page starts and how many it holds, from a query such as ?after=40&limit=20."""
    query = request.query_params
    return (whole(start, query.get(start, "0"), 0, LARGEST_ID),
            whole("limit", query.get("limit", str(PER_PAGE)), 1, MOST_PER_PAGE))


def whole(name: str, digits: str, least: int, most: int) -> int:
    """The number that the text writes in ASCII digits."""
    value = int(digits) if re.fullmatch(r"[0-9]{1,18}", digits) else digits
    return integer(least, most)(name, value)


def is_printable(value: str) -> bool:
    """Whether the text is free of control characters and of halves of characters, which not every database takes."""
    return not any(unicodedata.category(character) in ("Cc", "Cs") for character in value)


def shown(value: object) -> object:
    """The value as an error may repeat it: short, and sure to be sendable."""
    if value is MISSING:
        return "nothing"
    if value is None or isinstance(value, bool):
        return value
    if isinstance(value, (list, dict)):
        return type(value).__name__
    short = str(value) if isinstance(value, str) or abs(value) < 10**40 else "a number of more than 40 digits"
    return short[:100].encode("utf-8", "replace").decode()


def forget_products(request: Request, *ids: int) -> None:
    """Nothing is returned; the request has changed these products, and this process keeps no copy of the old ones."""
    if request.state.product_cache:
        request.state.product_cache.forget(*ids)


def account(request: Request) -> Account:
    """Who is logged in; NotLoggedIn if nobody is."""
    if request.state.account is None:
        raise NotLoggedIn("Log in first: POST /session.")
    return request.state.account


def seller(request: Request) -> Account:
    """The seller who is logged in; Forbidden if it is someone else."""
    who = account(request)
    if not who.seller:
        raise Forbidden("Only a seller's account may do this.")
    return who
