"""Alerts: who is told what failed, what does not agree, and that it is over."""

from retail_assets.defs.alerts.definitions import alert_definitions

__all__ = ["alert_definitions"]
