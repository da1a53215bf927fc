"""Discovery of vendors: public lists in the format of the x402 Bazaar, well-known documents, and unpaid 402s."""
