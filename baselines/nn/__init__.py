"""Networks and losses that several methods share."""
