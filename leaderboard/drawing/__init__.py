"""Number formatting and charts."""
