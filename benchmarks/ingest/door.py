"""A front door that accepts everything, at once or after a while: `python -m benchmarks.ingest.door PORT SECONDS`."""

from __future__ import annotations

import sys
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

ANSWER = b'{"accepted":1,"refused":0,"items":[]}'


class Answers(BaseHTTPRequestHandler):
    """Reads the request, waits, answers 202."""

    protocol_version = "HTTP/1.1"
    wbufsize = -1
    wait_s = 0.0

    def do_POST(self) -> None:
        """See the class."""
        self.rfile.read(int(self.headers["Content-Length"]))
        time.sleep(self.wait_s)
        self.send_response(202)
        self.send_header("Content-Length", str(len(ANSWER)))
        self.end_headers()
        self.wfile.write(ANSWER)

    def log_message(self, *_: object) -> None:
        """Say nothing."""


if __name__ == "__main__":
    Answers.wait_s = float(sys.argv[2])
    ThreadingHTTPServer(("127.0.0.1", int(sys.argv[1])), Answers).serve_forever()
