"""The event intake: an ASGI service that takes webhooks and answers when they are durably in the inbox."""
