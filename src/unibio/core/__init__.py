"""What problems, samples, derivatives, estimators and steps are: the mathematics that everything else is written in.

It imports only the leaves at the top of the package, and knows no algorithm by name, no file format and no Hydra.
Algorithms, problems, the simulation and the interfaces above them may import it; what reads records must not.
"""
