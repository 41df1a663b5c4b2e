"""Simulated providers: real HTTP on loopback, no keys, no costs, and everything that can go wrong."""
