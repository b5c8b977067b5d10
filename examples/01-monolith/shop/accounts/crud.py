"""Accounts and sessions: SQL and nothing else."""
from shop.database import Row


async def insert_account(db, email: str, password_hash: str, seller: bool) -> Row | None:
    """The new account's id; None if the e-mail address is taken."""
    return await db.one(
        "INSERT INTO account (email, password_hash, seller) VALUES (:email, :password_hash, :seller) "
        "ON CONFLICT (email) DO NOTHING RETURNING id",
        email=email, password_hash=password_hash, seller=seller)


async def select_account(db, id: int) -> Row | None:
    """The account, without its password's hash."""
    return await db.one("SELECT id, email, seller FROM account WHERE id = :id", id=id)


async def select_password(db, email: str) -> Row | None:
    """The id and the password's hash of the account with this e-mail address."""
    return await db.one("SELECT id, password_hash FROM account WHERE email = :email", email=email)


async def insert_session(db, token_hash: str, account_id: int, now: int) -> None:
    """Nothing is returned; the session exists."""
    await db.one(
        "INSERT INTO session (token_hash, account_id, started_at, seen_at) VALUES (:token_hash, :account_id, :now, :now)",
        token_hash=token_hash, account_id=account_id, now=now)


async def select_session(db, token_hash: str) -> Row | None:
    """The session whose token has this hash."""
    return await db.one(
        "SELECT token_hash, account_id, started_at, seen_at FROM session WHERE token_hash = :token_hash",
        token_hash=token_hash)


async def update_seen_at(db, token_hash: str, now: int) -> None:
    """Nothing is returned; the session was seen now."""
    await db.one("UPDATE session SET seen_at = :now WHERE token_hash = :token_hash", token_hash=token_hash, now=now)


async def delete_session(db, token_hash: str) -> None:
    """Nothing is returned; there is no such session any more."""
    await db.one("DELETE FROM session WHERE token_hash = :token_hash", token_hash=token_hash)


async def delete_old_sessions(db, account_id: int, started_before: int, seen_before: int) -> None:
    """Nothing is returned; the account's sessions that are over are gone."""
    await db.one(
        "DELETE FROM session WHERE account_id = :account_id "
        "AND (started_at < :started_before OR seen_at < :seen_before)",
        account_id=account_id, started_before=started_before, seen_before=seen_before)
