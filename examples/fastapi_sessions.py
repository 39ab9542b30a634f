"""A FastAPI shop with a login of its own: whoever is signed in to the shop may listen.

tidewire serve examples.fastapi_sessions:app
"""

import hmac
import os
import secrets
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Annotated

from fastapi import Depends, FastAPI, HTTPException, Request
from pydantic import BaseModel
from starlette.middleware.sessions import SessionMiddleware
from starlette.requests import HTTPConnection

from tidewire import Identity, Tidewire, notification

# The database: a stand-in for yours, that counts its connections.


@dataclass
class User:
    """A customer or an employee."""

    password: str  # in yours: a hash of it
    roles: frozenset[str] = frozenset()


@dataclass
class Database:
    """What a connection gives access to."""

    users: dict[str, User]
    sessions: dict[str, str] = field(default_factory=dict)


class Pool:
    """Lends connections."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self.lent = 0
        self.lent_ever = 0

    @asynccontextmanager
    async def connection(self) -> AsyncIterator[Database]:
        """A connection, for as long as the block lasts."""
        self.lent += 1
        self.lent_ever += 1
        try:
            yield self._database
        finally:
            self.lent -= 1


pool = Pool(
    Database({"alice": User("wonderland", frozenset({"EDITOR"})), "bob": User("builder")}),
)


async def database() -> AsyncIterator[Database]:
    """The dependency of routes: a connection until the answer is sent."""
    async with pool.connection() as db:
        yield db


Connected = Annotated[Database, Depends(database)]


# Who is asking: one function for Tidewire and for the shop's own routes.


async def current_identity(request: HTTPConnection) -> Identity | None:
    """Who is signed in; None for a visitor.

    It gives its connection back before it returns: a stream that it lets in may stay open for
    an hour, and must not keep one.
    """
    session = request.session.get("id")
    if session is None:
        return None
    async with pool.connection() as db:
        name = db.sessions.get(session)
        return None if name is None else Identity(name, roles=db.users[name].roles)


tidewire = Tidewire(session=current_identity)


async def signed_in(request: Request) -> Identity:
    """The dependency of the shop's own routes."""
    identity = await current_identity(request)
    if identity is None:
        raise HTTPException(401, "Sign in first.")
    return identity


SignedIn = Annotated[Identity, Depends(signed_in)]

app = FastAPI(lifespan=tidewire.lifespan)
app.add_middleware(
    SessionMiddleware, secret_key=os.environ.get("SESSION_SECRET") or secrets.token_urlsafe()
)
app.include_router(tidewire.router)


class Login(BaseModel):
    """What somebody signs in with."""

    name: str
    password: str


@app.post("/login", status_code=204)
async def login(request: Request, given: Login, db: Connected) -> None:
    """Begins a session. The cookie only names it, so that it can be ended here."""
    user = db.users.get(given.name)
    if user is None or not hmac.compare_digest(user.password.encode(), given.password.encode()):
        raise HTTPException(401, "The name or the password is wrong.")
    request.session["id"] = session = secrets.token_urlsafe()
    db.sessions[session] = given.name


@app.post("/logout", status_code=204)
async def logout(request: Request, identity: SignedIn, db: Connected) -> None:
    """Ends the session, and then the streams that were opened with it."""
    del db.sessions[request.session.pop("id")]
    await tidewire.revoke(user_id=identity.user_id)


@app.post("/orders")
async def order(identity: SignedIn) -> str:
    """Takes an order, and tells the customer's browsers."""
    event = notification("Thank you", "Your order is on its way", users=[identity.user_id])
    return await tidewire.publish(event)


@app.get("/pool")
async def connections() -> dict[str, int]:
    """How many connections are lent out now, and how many ever were."""
    return {"lent": pool.lent, "ever": pool.lent_ever}
