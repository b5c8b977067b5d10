"""What the shop refuses, in its own words: no HTTP in here. `responses.py` knows the status of each."""


class ShopError(Exception):
    """A request that the shop refuses; `detail` is a sentence for whoever sent it."""

    def __init__(self, detail: str, **members: object) -> None:
        super().__init__(detail)
        self.detail = detail
        self.members = members   # more facts for the answer, as in field="quantity", value=0


class InvalidInput(ShopError):
    """A field is missing, or its value cannot be used."""


class NotLoggedIn(ShopError):
    """Nobody is logged in, or the password is wrong."""


class Forbidden(ShopError):
    """The account may not do this."""


class NotFound(ShopError):
    """There is no such thing, or it is someone else's."""


class Conflict(ShopError):
    """It can be read and is allowed, but not as things stand: no stock left, address taken."""


class Changed(ShopError):
    """Someone else changed it after it was read."""


class KeyReused(ShopError):
    """The same Idempotency-Key came with another order."""


class TooManyAttempts(ShopError):
    """Too many logins in a minute; `retry_after_s` says how long to wait."""


class BodyTooLarge(ShopError):
    """The body has more bytes than the shop reads."""


class BodyTooSlow(ShopError):
    """The body did not arrive in time."""


class WrongContentType(ShopError):
    """The body is not declared as JSON."""


class CrossSite(ShopError):
    """A browser sent this from another site's page."""


class Unavailable(ShopError):
    """The database does not answer at the moment."""
