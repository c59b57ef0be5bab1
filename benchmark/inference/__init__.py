"""Asking a submission about images, and metering what that costs."""
