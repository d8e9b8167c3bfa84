"""What carrying records costs: the dispatch rule of data services, the journal rule of control services, the contract.

`dispatch` and `journal` start and watch the processes under test, each of which is a module of its own.
"""
