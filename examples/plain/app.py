"""The orders of a small kitchen, on a page without any build.

tidewire serve examples.plain.app:app --dev
"""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Literal

from fastapi import FastAPI
from fastapi.responses import FileResponse

from tidewire import Event, Tidewire

PAGE = Path(__file__).parent / "index.html"
DISHES = ("Clam chowder", "Grilled mackerel", "Seaweed salad", "Fish pie", "Oysters", "Crab roll")
SECONDS = 4  # that a dish waits, and that it is cooked
SHOWN = 30


@dataclass(slots=True)
class Order:
    """An order, and how far it is."""

    number: int
    dish: str
    status: Literal["placed", "cooking", "served"] = "placed"


tidewire = Tidewire(dev=True)  # in production: set SSE_JWT_SECRET, and leave dev out
orders: list[Order] = []
cooks: set[asyncio.Task[None]] = set()


@asynccontextmanager
async def lifespan(app: FastAPI) -> AsyncIterator[None]:
    """Tidewire's, and that of the cooks."""
    async with tidewire.lifespan(app):
        yield
        for cook in cooks:
            cook.cancel()
        await asyncio.gather(*cooks, return_exceptions=True)


app = FastAPI(lifespan=lifespan)
app.include_router(tidewire.router)


@app.get("/")
async def page() -> FileResponse:
    """The page. It loads /tidewire.js, which the router brings."""
    return FileResponse(PAGE)


@app.get("/orders")
async def snapshot() -> dict[str, Any]:
    """All orders, and the cursor from which a stream goes on."""
    # Before the orders are read: what changes in between is then told again, and not missed.
    cursor = await tidewire.cursor()
    return {"orders": [asdict(order) for order in orders[-SHOWN:]], "cursor": cursor}


@app.post("/orders", status_code=201)
async def place() -> int:
    """Takes an order, and gives it to a cook."""
    number = len(orders) + 1
    order = Order(number, DISHES[number % len(DISHES)])
    orders.append(order)
    await tell(order)
    # Somebody must hold it: the event loop does not.
    cook = asyncio.create_task(prepare(order))
    cooks.add(cook)
    cook.add_done_callback(cooks.discard)
    return number


async def prepare(order: Order) -> None:
    """Cooks it, and serves it."""
    await asyncio.sleep(SECONDS)
    order.status = "cooking"
    await tell(order)
    await asyncio.sleep(SECONDS)
    order.status = "served"
    await tell(order)


async def tell(order: Order) -> None:
    """Tells every page how far an order is."""
    await tidewire.publish(Event("order", asdict(order)))
