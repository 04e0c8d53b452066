"""The host in memory that a policy's own tests run against: one module for each interface."""
