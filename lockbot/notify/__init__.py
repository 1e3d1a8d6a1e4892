"""Telling people what changed: what stands, what of it is new, in which words, and how it gets to them.

    conditions  facts → what stands
    endings     that something is over, or can't be told
    changes     what stood and what stands → what is told to whom
    texts       notices → a message, harmless wherever it is read
    sending     one message on its way, by Apprise: the only module that knows it
    delivery    the outbox: what is due, to every target at once

Settings and commands come in as values.
"""
