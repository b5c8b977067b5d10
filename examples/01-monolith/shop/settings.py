"""Every number that the shop may be run with: its unit, its default, and the variable it is read from."""
import os
from collections.abc import Mapping
from dataclasses import Field, dataclass, fields

WORDS = {"history_index": ("yes", "no"), "history_queries": ("one", "each"), "paging": ("key", "offset"),
         "compress": ("yes", "no"), "synchronous": ("off", "normal", "full")}


@dataclass(frozen=True)
class Settings:
    """What one server runs with. The field `seed` is read from the environment variable SHOP_SEED, and so on."""

    database: str = "sqlite:///shop.db"   # or postgresql://user:password@host/name
    seed: str = "small"                   # what a fresh database is filled with: none, small or large
    max_body_bytes: int = 65_536          # a larger body is refused with 413
    body_timeout_s: float = 10            # a body that takes longer to arrive is refused with 408
    logins_per_account: int = 10          # attempts a minute; guessing a password must be slow
    logins_per_address: int = 60          # attempts a minute; raise it where a class shares one address
    session_idle_s: int = 24 * 3600       # a session that nobody used for so long is over
    session_lifetime_s: int = 7 * 24 * 3600   # and in any case after this long
    database_connections: int = 10        # PostgreSQL only; SQLite needs one to read and one to write

    # Levers: as they stand here the shop is quick. Each other word shows what it would be without.
    history_index: str = "yes"            # no: /history looks through the orders of everybody until its page is full
    history_queries: str = "one"          # each: a query for the orders, and more for each of them (N+1)
    paging: str = "key"                   # offset: `after` counts products to skip, and one that is deleted hides another
    product_cache_s: float = 0            # seconds that a product read before may be old; 0 asks the database each time
    compress: str = "no"                  # yes: bodies of 500 bytes and more leave as gzip
    synchronous: str = "normal"           # SQLite waits for the disk: off, normal (at checkpoints) or full (at each commit)

    @classmethod
    def from_environment(cls, environ: Mapping[str, str] = os.environ) -> "Settings":
        """The settings that the SHOP_ variables ask for; ValueError for an unknown name or a value that does not fit."""
        known = {f"SHOP_{field.name.upper()}": field for field in fields(cls)}
        given = {name: value for name, value in environ.items() if name.startswith("SHOP_")}
        if unknown := sorted(given.keys() - known.keys()):
            raise ValueError(f"There is no setting {unknown[0]}. There are: {', '.join(known)}.")
        return cls(**{known[name].name: converted(name, value, known[name]) for name, value in given.items()})


def converted(name: str, value: str, field: Field) -> str | int | float:
    """The value as text, as one of the field's words, or as a number above zero (or zero, if that is the default)."""
    if field.type is str:
        if value not in (words := WORDS.get(field.name, (value,))):
            raise ValueError(f"{name} must be {' or '.join(words)}, not {value!r}.")
        return value
    try:
        number = field.type(value)
    except ValueError:
        number = -1
    if not (0 < number < float("inf") or number == field.default == 0):
        raise ValueError(f"{name} must be a number {'from' if field.default == 0 else 'above'} zero, not {value!r}.")
    return number
