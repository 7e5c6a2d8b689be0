"""What a user would write or pick instead, as well as we can write it: programs that compute what ours compute.

Each can be given the random numbers or minibatches that ours drew, and is compared with ours on them before anything
is timed. When timed it draws its own, in the way that is natural to it.
"""
