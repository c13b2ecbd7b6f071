"""A stand-in for AWS on this machine: moto, with what these stacks need and moto leaves out.

    python -m stand_in PORT            # with deploy and deploy/tests on PYTHONPATH; 127.0.0.1 only

CloudFormation is the part that differs from plain moto. moto skips resource types that it does not know and
reports success all the same; here an unknown type or property fails the stack. A failed stack is rolled back,
exports that are in use can be neither changed nor deleted, and parameters and rules are checked as the real
one checks them. Change sets, drift, and `cancel-update-stack` are not here, and nothing runs: no task, no
database, no cache. What this accepts AWS may still refuse.
"""
