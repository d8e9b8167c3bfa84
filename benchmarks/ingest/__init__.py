"""How fast rows come in, and what it costs who sends them."""
