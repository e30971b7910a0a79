"""The ERPs: their clients, and posters with one protocol, one module for each."""
