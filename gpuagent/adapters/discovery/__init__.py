"""Strangers who sell GPU work: public lists of the Bazaar's shape, well-known documents, and unpaid 402s."""
