"""What the shop means by an account and by a session: no HTTP, no SQL."""
import hashlib
import secrets
import time
from dataclasses import dataclass

from shop.accounts import crud
from shop.accounts.login_limit import LoginLimit
from shop.accounts.passwords import Passwords
from shop.errors import Conflict, NotLoggedIn
from shop.settings import Settings

SEEN_EVERY_S = 60   # a write for every request would cost a quarter of the throughput, and nobody needs the second


@dataclass(frozen=True)
class Account:
    """Who someone is, for the whole shop."""

    id: int
    email: str
    seller: bool


@dataclass(frozen=True)
class Session:
    """One visit: it began with a login and ends with a logout, or when nobody used it for long."""

    token_hash: str
    account_id: int
    started_at: int   # seconds since 1970, as is seen_at
    seen_at: int


async def sign_up(db, passwords: Passwords, email: str, password: str, seller: bool) -> Account:
    """The new account; Conflict if the e-mail address has one already."""
    password_hash = await passwords.hash(password)
    async with db.transaction() as tx:
        row = await crud.insert_account(tx, email, password_hash, seller)
    if row is None:
        raise Conflict("There is an account with this e-mail address already.", field="email")
    return Account(row["id"], email, seller)


async def log_in(db, passwords: Passwords, limit: LoginLimit, address: str, email: str, password: str,
                 former: Session | None, settings: Settings) -> tuple[str, int]:
    """The token of a new session and the account's id; the same NotLoggedIn for a wrong password and an unknown address."""
    limit.check(email, address)
    row = await crud.select_password(db, email)
    if not await passwords.fits(password, row and row["password_hash"]):
        raise NotLoggedIn("This e-mail address and this password do not belong together.")
    token = secrets.token_urlsafe(32)
    now = int(time.time())
    async with db.transaction() as tx:
        # A new token at every login: one that was planted in the browser before is worth nothing after.
        if former:
            await crud.delete_session(tx, former.token_hash)
        await crud.delete_old_sessions(tx, row["id"], now - settings.session_lifetime_s, now - settings.session_idle_s)
        await crud.insert_session(tx, hashed(token), row["id"], now)
    return token, row["id"]


async def log_out(db, session: Session) -> None:
    """Nothing is returned; the token is worth nothing any more."""
    async with db.transaction() as tx:
        await crud.delete_session(tx, session.token_hash)


async def find_session(db, token: str, settings: Settings) -> Session | None:
    """The session of the token, if it is still good; notes once a minute that it was seen."""
    row = await crud.select_session(db, hashed(token))
    if row is None:
        return None
    session, now = Session(**row), int(time.time())
    if now - session.started_at > settings.session_lifetime_s or now - session.seen_at > settings.session_idle_s:
        return None
    if now - session.seen_at >= SEEN_EVERY_S:
        async with db.transaction() as tx:
            await crud.update_seen_at(tx, session.token_hash, now)
    return session


async def find_account(db, id: int) -> Account | None:
    """The account with this id."""
    row = await crud.select_account(db, id)
    return row and Account(row["id"], row["email"], bool(row["seller"]))


def hashed(token: str) -> str:
    """What is stored of a token. It has 256 random bits, so one fast hash is enough; a password needs a slow one."""
    return hashlib.sha256(token.encode("utf-8", "replace")).hexdigest()
