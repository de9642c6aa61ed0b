//go:build !(darwin || dragonfly || freebsd || linux || netbsd || openbsd)

package evidence

import (
	"fmt"
	"runtime"
)

func lock(string) (unlock func(), err error) {
	return nil, fmt.Errorf("no file lock on %s: collect evidence on Linux, macOS or a BSD", runtime.GOOS)
}
