"""The demo: the whole service on this machine, one live stream, questions while it runs."""
