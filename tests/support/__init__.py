"""What tests share: servers on loopback, recorded stores, homes."""
