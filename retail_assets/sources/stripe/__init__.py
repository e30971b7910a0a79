"""Stripe: balance transactions, charges, refunds, disputes and payouts of one account."""

from retail_assets.sources.stripe.source import stripe_source

__all__ = ["stripe_source"]
