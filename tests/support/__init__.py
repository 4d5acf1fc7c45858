"""What tests share: builders, fakes, and wrappers around the programs of others."""
