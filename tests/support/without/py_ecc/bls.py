"""The signatures of validators, of which there are none."""


class G2ProofOfPossession:
    """Signs nothing."""
