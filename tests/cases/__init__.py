"""Inputs that users brought, by kind: what the commands make of them."""
