"""Posting: one asset and one gate sensor for each entity; and the read-back of what was posted."""

from retail_assets.defs.export.assets import export_definitions
from retail_assets.defs.export.attestation import attestation_definitions

__all__ = ["attestation_definitions", "export_definitions"]
