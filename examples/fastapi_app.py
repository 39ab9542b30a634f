"""A shop that tells its customers what happens to their orders.

tidewire serve examples.fastapi_app:app --dev
curl -N 'http://127.0.0.1:8000/api/sse?userId=alice'
curl -X POST 'http://127.0.0.1:8000/orders?customer=alice'
"""

from fastapi import FastAPI

from tidewire import Tidewire, notification

tidewire = Tidewire(dev=True)  # in production: set SSE_JWT_SECRET, and leave dev out
app = FastAPI(lifespan=tidewire.lifespan)
app.include_router(tidewire.router)


@app.post("/orders")
async def order(customer: str) -> str:
    """Takes an order, and tells the customer's browsers."""
    event = notification("Thank you", "Your order is on its way", users=[customer])
    return await tidewire.publish(event)
