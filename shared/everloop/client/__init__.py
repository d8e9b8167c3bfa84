"""The Python SDK: tell Everloop of predictions and labels from a server of your own, without slowing it.

`Client.log_predictions` and `Client.log_labels` copy what they are given into a bounded queue and return. Two threads
in the background do the rest: one makes batches, one sends them, over HTTP to the front door or straight to Kafka. What
cannot be sent lies on disk until it can. `EverloopMiddleware` logs the requests of an ASGI app, such as FastAPI's.
`docs/client.md` says what is promised.
"""

from everloop.client.client import Client
from everloop.client.limits import Limits
from everloop.client.metrics import StatsCollector
from everloop.client.middleware import EverloopMiddleware
from everloop.client.reading import read_common
from everloop.client.tally import Stats
from everloop.client.values import Prediction

__all__ = ["Client", "EverloopMiddleware", "Limits", "Prediction", "Stats", "StatsCollector", "read_common"]
