"""What `submission new` copies."""
