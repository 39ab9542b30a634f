"""What the models of answers have in common."""

from collections.abc import Mapping
from typing import Final

from pydantic import BaseModel, ConfigDict
from starlette.responses import Response

UNCACHED: Final = {"cache-control": "no-store"}
"""On what is for one who asks, or for one moment."""


class Answer(BaseModel):
    """An answer of one form. What writes it is made for the first who asks: a server is ready
    before that."""

    model_config = ConfigDict(defer_build=True)

    def response(
        self, headers: Mapping[str, str] | None = None, *, exclude_unset: bool = False
    ) -> Response:
        """The answer as it is sent."""
        body = self.model_dump_json(by_alias=True, exclude_unset=exclude_unset)
        return Response(body, headers=headers, media_type="application/json")
