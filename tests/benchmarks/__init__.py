"""Speed beside peers, and growth of cost: `python -m tests.benchmarks`."""
