"""Long experiments: what no test has the time for. `make soak` runs them."""
