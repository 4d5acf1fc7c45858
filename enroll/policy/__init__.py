"""Pure judgments: given facts, permit or raise."""
