import sys

from tests.conformance import runtime_tools

try:
    runtime_tools.build()
except runtime_tools.NotBuilt as error:
    sys.exit(f"the OCI's validation programs cannot be built here: {error}")
