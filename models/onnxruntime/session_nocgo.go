//go:build !cgo

package onnxruntime

import "fmt"

// session stands in for what needs cgo. There is none.
type session struct {
	width  int
	double bool
}

type slot struct{}

func openLibrary(Config) (version string, err error) {
	return "", fmt.Errorf("pitboss was built without cgo: build it with CGO_ENABLED=1 and a C compiler: %w", ErrLibrary)
}

func newSession([]byte, *Graph, *plan) (*session, error) { return nil, ErrLibrary }

func (*session) destroy()                                  {}
func (*session) price() (float64, error)                   { return 0, ErrLibrary }
func (*session) take() *slot                               { return nil }
func (*session) put(*slot)                                 {}
func (*slot) run([]float64) (v []float64, at int, e error) { return nil, -1, ErrLibrary }
