"""Agents for other programs, one package per protocol."""
