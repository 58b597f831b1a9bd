//go:build tools

// Package runtime_tools pins the versions of the OCI's validation programs that test_runtime_tools.py builds.
package runtime_tools

import (
	_ "github.com/opencontainers/runtime-tools/cmd/runtimetest"
	_ "github.com/opencontainers/runtime-tools/validation/util"
)
