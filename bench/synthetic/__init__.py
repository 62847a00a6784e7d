"""A source that is a function of the clock, and a target that forgets: what workers cost without servers beside them.

Every process computes the same messages at the same places, so nothing has to be shared but the time.
"""
