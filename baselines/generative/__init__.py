"""Methods that invert a decoder, one readable file each; rows are named in the registry."""
