"""How fast we are, each figure beside that of a peer who does the same job: `make bench`, or `python -m benchmarks`.

Three rules hold for every figure.

- **A rate is per CPU-second of the process under test** (user and system time of that one process, its children left
  out): broker, load and what watches share the machine's cores, and must not count for or against it.
- **`ratio` says how many times better we are.** Of a rate it is ours / peer, of a cost (seconds, memory) peer / ours:
  above 1 we are better, below 1 the peer is. Without a peer there is none.
- **A figure is the median of a few repeats**, each after a warm-up, ours and the peer's in turn; the smallest and the
  largest are kept beside it. Seeds are fixed.

`registry` lists the benchmarks; a package per area has what they do. Nobody else may import from here.
"""
