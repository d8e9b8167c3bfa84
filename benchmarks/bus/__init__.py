"""What carrying records costs: the dispatch rule of data services, the journal rule of control services.

Each of the four processes under test is a module that is run by itself; `dispatch` and `journal` start and watch them.
"""
