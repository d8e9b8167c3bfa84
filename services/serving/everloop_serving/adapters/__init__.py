"""The outside world: `loading` models, `outbox` to the broker, `bodies` of requests, `door` for HTTP."""
