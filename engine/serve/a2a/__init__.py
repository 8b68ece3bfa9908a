"""Agents served over the A2A protocol: a run is a task, a thread is a context. Needs the extra `a2a`."""

from .application import Application, Site, path_of, serve

__all__ = ["Application", "Site", "path_of", "serve"]
