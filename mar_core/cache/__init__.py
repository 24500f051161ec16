"""Unpacked archives, kept from one run to the next."""
