"""The app of every service, with a route that answers 202 and does nothing: `python -m benchmarks.ingest.nothing N`.

N is the port.
"""

from __future__ import annotations

import sys

from fastapi import Request
from fastapi.responses import JSONResponse

from everloop.collector import spare_the_collector
from everloop.http import serve_in_thread, service_app
from everloop.metrics import Metrics


def main(port: int) -> None:
    """Serve until the process is ended."""
    app = service_app("nothing", metrics=Metrics(), ready=lambda: None)

    @app.post("/v1/predictions")
    async def predictions(_: Request) -> JSONResponse:
        return JSONResponse({"accepted": 1, "refused": 0, "items": []}, 202)

    spare_the_collector()
    serving = serve_in_thread(app, port)
    if serving.thread:
        serving.thread.join()


if __name__ == "__main__":
    main(int(sys.argv[1]))
