"""A Starlette application with Tidewire mounted in it.

tidewire serve examples.starlette.app:app --dev
"""

from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import PlainTextResponse
from starlette.routing import Mount, Route

from tidewire import Tidewire, notification

tidewire = Tidewire(dev=True)  # in production: set SSE_JWT_SECRET, and leave dev out


async def order(request: Request) -> PlainTextResponse:
    """Takes an order, and tells the customer's browsers."""
    customer = request.query_params["customer"]
    event = notification("Thank you", "Your order is on its way", users=[customer])
    return PlainTextResponse(await tidewire.publish(event))


app = Starlette(
    routes=[Route("/orders", order, methods=["POST"]), Mount("/live", tidewire.app)],
    lifespan=tidewire.lifespan,
)
