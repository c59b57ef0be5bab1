"""Two studies on decoders of known form."""
