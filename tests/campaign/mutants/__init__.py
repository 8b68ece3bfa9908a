"""Faults in the code, and whether the tests catch them."""
