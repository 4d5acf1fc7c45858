"""One file per question, each with the ratio that would change our mind; `make bench` runs them."""
