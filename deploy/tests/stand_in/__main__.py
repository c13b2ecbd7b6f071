"""`python -m stand_in PORT`"""

import sys

from .server import serve

if len(sys.argv) != 2 or not sys.argv[1].isdigit():
    sys.exit("usage: python -m stand_in PORT")
serve(int(sys.argv[1]))
