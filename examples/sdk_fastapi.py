"""A model server of your own that tells Everloop of every prediction, by one line.

EVERLOOP_TARGET=http://127.0.0.1:18000 uvicorn examples.sdk_fastapi:app --port 8000
curl -H 'content-type: application/json' http://127.0.0.1:8000/predict -d '{"features": {"amount": 80.0}}'
"""

from __future__ import annotations

import os

from fastapi import FastAPI
from pydantic import BaseModel

from everloop.client import Client, EverloopMiddleware


class Payment(BaseModel):
    """What the model is asked. `entity_id` is whom it is about."""

    features: dict[str, float | str]
    entity_id: str | None = None


def serve(client: Client) -> FastAPI:
    """Give the app. Its answers carry the header `x-prediction-id`, by which a label is logged later."""
    app = FastAPI()
    app.add_middleware(EverloopMiddleware, client=client, paths=["/predict"])

    @app.post("/predict")
    def predict(payment: Payment) -> dict[str, float]:
        return {"score": score(payment.features)}

    return app


def score(features: dict[str, float | str]) -> float:
    """Stand in for a model."""
    return 0.34 if features.get("country") == "DE" else 0.11


app = serve(Client(os.environ.get("EVERLOOP_TARGET", "http://127.0.0.1:18000"), model="fraud", version="1"))
