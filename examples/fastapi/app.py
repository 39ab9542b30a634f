"""A shop: Tidewire as a router, and as a dependency of the shop's own routes.

tidewire serve examples.fastapi.app:app --dev
"""

from typing import Annotated

from fastapi import Depends, FastAPI, Request
from fastapi.responses import JSONResponse

from tidewire import Identity, Tidewire, TidewireError, notification

tidewire = Tidewire(dev=True)  # in production: set SSE_JWT_SECRET, and leave dev out
app = FastAPI(lifespan=tidewire.lifespan)
app.include_router(tidewire.router)

SignedIn = Annotated[Identity, Depends(tidewire.authenticate)]


@app.exception_handler(TidewireError)
async def refuse(request: Request, error: TidewireError) -> JSONResponse:
    """Answers whoever is not signed in, as Tidewire's own routes do."""
    return JSONResponse(error.problem(), error.status, media_type="application/problem+json")


@app.post("/orders")
async def order(customer: SignedIn) -> str:
    """Takes an order, and tells the customer's browsers."""
    event = notification("Thank you", "Your order is on its way", users=[customer.user_id])
    return await tidewire.publish(event)
