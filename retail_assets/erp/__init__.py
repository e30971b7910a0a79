"""Posters: one protocol, one module for each ERP."""
